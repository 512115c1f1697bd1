package model_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
)

// start opens a bundle with a selector and returns what ran.
func start(t *testing.T, f *fakes, cache string, opts ort.Options, b *bundle.Dir) *model.Selection {
	t.Helper()
	m, err := f.selector(cache, opts).Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.Selection
}

func cacheFiles(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestASecondStartMeasuresNothing(t *testing.T) {
	b, dir := modeltest.New(t, modeltest.Options{}), t.TempDir()
	opts := ort.Options{Providers: []string{ort.TensorRT, ort.CUDA}}
	f := &fakes{extractor: map[string][]byte{ort.TensorRT: extractorOf(t, b, modeltest.Scaled)}}
	first := start(t, f, dir, opts, b)
	if first.Extractor.Cached || first.Extractor.Passed[0].Cached || len(cacheFiles(t, dir)) != 2 {
		t.Fatalf("the first start: %+v, files %v", first, cacheFiles(t, dir))
	}
	second := start(t, f, dir, opts, b)
	if !second.Extractor.Cached || !second.Segmenter.Cached || second.Extractor.PerRun != first.Extractor.PerRun ||
		second.Extractor.Provider != ort.CUDA || !second.Extractor.Passed[0].Cached || second.Extractor.Passed[0].Outcome != model.Wrong {
		t.Errorf("the second start: %+v", second)
	}
	if slices.Contains(f.opened, "extractor on tensorrt") {
		t.Errorf("opened %v: what was wrong an hour ago need not be tried", f.opened)
	}
	f.at = f.at.Add(25 * time.Hour)
	f.extractor = nil // its driver was mended
	if third := start(t, f, dir, opts, b); third.Extractor.Provider != ort.TensorRT || third.Extractor.Cached || third.Segmenter.Cached {
		t.Errorf("a day later: %+v, want everything measured anew", third)
	}
	f.at = f.at.Add(-48 * time.Hour) // the rig has no battery for its clock
	if fourth := start(t, f, dir, opts, b); fourth.Extractor.Cached {
		t.Errorf("before the time of the cache: %+v", fourth)
	}
}

// TestTheCacheHidesNothing: what is remembered as right is compared with the golden outputs all the same.
func TestTheCacheHidesNothing(t *testing.T) {
	b, dir := modeltest.New(t, modeltest.Options{}), t.TempDir()
	opts := ort.Options{Providers: []string{ort.CUDA, ort.CPU}}
	f := &fakes{}
	start(t, f, dir, opts, b)
	f.extractor = map[string][]byte{ort.CUDA: extractorOf(t, b, modeltest.Scaled)}
	s := start(t, f, dir, opts, b)
	if s.Extractor.Provider != ort.CPU || s.Extractor.Passed[0].Outcome != model.Wrong || s.Extractor.Passed[0].Cached {
		t.Errorf("a provider that has become wrong since: %+v", s)
	}
	// And what is remembered as wrong makes no error, and no fallback that is forbidden.
	f.extractor = nil
	s = start(t, f, dir, ort.Options{Providers: opts.Providers, Require: true}, b)
	if s.Extractor.Provider != ort.CUDA {
		t.Errorf("with require: %+v, want it tried again", s)
	}
	f.extractor = map[string][]byte{ort.CUDA: extractorOf(t, b, modeltest.Scaled)}
	start(t, f, dir, opts, b) // remembers it as wrong again
	f.extractor = nil
	if s = start(t, f, dir, ort.Options{Providers: opts.Providers[:1]}, b); s.Extractor.Provider != ort.CUDA {
		t.Errorf("alone: %+v, want it tried again", s)
	}
	// What was missing is looked for at each start.
	f.missing = map[string]error{ort.QNN: os.ErrNotExist}
	qnn := ort.Options{Providers: []string{ort.QNN, ort.CPU}}
	start(t, f, dir, qnn, b)
	f.missing = nil
	if s = start(t, f, dir, qnn, b); s.Extractor.Provider != ort.QNN {
		t.Errorf("a library that has come since: %+v", s)
	}
}

func TestTheCacheIsAboutOneBundleMachineAndSetting(t *testing.T) {
	b, dir := modeltest.New(t, modeltest.Options{}), t.TempDir()
	f := &fakes{}
	opts := ort.Options{Providers: []string{ort.CUDA}}
	start(t, f, dir, opts, b)
	for name, c := range map[string]struct {
		opts ort.Options
		b    *bundle.Dir
	}{
		"another bundle":  {opts, modeltest.New(t, modeltest.Options{Seed: 8})},
		"other options":   {ort.Options{Providers: opts.Providers, ProviderOptions: map[string]map[string]string{ort.CUDA: {"device_id": "1"}}}, b},
		"other threads":   {ort.Options{Providers: opts.Providers, Threads: 2}, b},
		"other provider":  {ort.Options{Providers: []string{ort.CPU}}, b},
		"a report beside": {opts, b},
	} {
		d := *c.b
		want := name == "a report beside"
		if want {
			d.Report = []byte(`{"f1":1}`)
		}
		if s := start(t, f, dir, c.opts, &d); s.Extractor.Cached != want {
			t.Errorf("%s: cached %v, want %v", name, s.Extractor.Cached, want)
		}
	}
}

func TestADamagedCacheIsProbedAgain(t *testing.T) {
	b, dir := modeltest.New(t, modeltest.Options{}), t.TempDir()
	f := &fakes{}
	opts := ort.Options{Providers: []string{ort.CUDA}}
	start(t, f, dir, opts, b)
	path := cacheFiles(t, dir)[0]
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.DecodeCache(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":            "",
		"cut":              string(good[:len(good)/2]),
		"another number":   strings.Replace(string(good), `"ns":`, `"ns":9`, 1),
		"another outcome":  strings.Replace(string(good), `"right"`, `"slow"`, 1),
		"an unknown field": strings.Replace(string(good), `{"schema"`, `{"more":1,"schema"`, 1),
		"twice":            string(good) + string(good),
		"other schema":     strings.Replace(string(good), `"schema":2`, `"schema":3`, 1),
		"huge":             string(good) + strings.Repeat(" ", 1<<17),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if s := start(t, f, dir, opts, b); s.Extractor.Cached || s.Extractor.Provider != ort.CUDA {
				t.Errorf("selection %+v, want it measured anew", s)
			}
			if s := start(t, f, dir, opts, b); !s.Extractor.Cached {
				t.Error("it was not remembered again")
			}
		})
	}
	// A file of another question under this one's name.
	other := &fakes{}
	otherDir := t.TempDir()
	start(t, other, otherDir, ort.Options{Providers: []string{ort.CPU}}, b)
	moved, err := os.ReadFile(cacheFiles(t, otherDir)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, moved, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := start(t, f, dir, opts, b); s.Extractor.Cached {
		t.Error("what was measured on another provider was believed")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files are left (%v), want one", len(left), err)
	}
}

func TestACacheThatCantBeWrittenIsNoError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, &fakes{}, filepath.Join(file, "below"), ort.Options{}, modeltest.New(t, modeltest.Options{}))
	if s.Extractor.Provider != ort.CPU {
		t.Errorf("selection %+v", s)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	b, dir := modeltest.New(t, modeltest.Options{}), t.TempDir()
	for i := range 80 {
		name := filepath.Join(dir, strings.Repeat("a", i+1)+".json")
		if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := &fakes{}
	start(t, f, dir, ort.Options{}, b)
	if n := len(cacheFiles(t, dir)); n != 64 {
		t.Errorf("%d files, want 64", n)
	}
	if s := start(t, f, dir, ort.Options{}, b); !s.Extractor.Cached {
		t.Error("the newest file was removed")
	}
}

func FuzzDecodeCache(f *testing.F) {
	f.Add([]byte(`{"schema":2,"key":{"bundle":"","machine":"","library":"","provider":"cpu","threads":1},"parts":{"extractor":{"outcome":"right","ns":5,"at":"2026-03-02T07:00:00Z"}},"sum":""}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(_ *testing.T, data []byte) { _ = model.DecodeCache(data) })
}

package sim

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// truthOf returns a short take's truth as it is on disk.
func truthOf(t testing.TB) (*Take, []byte) {
	t.Helper()
	s, err := NewScene(Config{Length: time.Second, Cameras: DefaultCameras("exo1", "ego")}, TakeSpec{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s.Take())
	if err != nil {
		t.Fatal(err)
	}
	return s.Take(), text
}

func TestTruthReadsBackAsItWas(t *testing.T) {
	want, text := truthOf(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, TruthFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTake(dir)
	if err != nil {
		t.Fatal(err)
	}
	// The worker's looks and manners stay with the simulator.
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(text) {
		t.Error("the truth changes when it is read and written")
	}
	for i := range want.Cameras {
		if !reflect.DeepEqual(got.RawNS(&got.Cameras[i]), want.RawNS(&want.Cameras[i])) {
			t.Errorf("stamps of %s differ", want.Cameras[i].ID)
		}
	}
	if c, ok := got.Camera("ego"); !ok || !c.Mono || c.Kind != "ego" {
		t.Errorf("camera ego: %+v, %v", c, ok)
	}
	if _, ok := got.Camera("exo2"); ok {
		t.Error("exo2 is there though it doesn't record")
	}
}

func TestReadTakeIsStrict(t *testing.T) {
	_, text := truthOf(t)
	edit := func(change func(m map[string]any)) string {
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	set := func(key string, v any) string { return edit(func(m map[string]any) { m[key] = v }) }
	setCam := func(key string, v any) string {
		return edit(func(m map[string]any) { m["cameras"].([]any)[0].(map[string]any)[key] = v })
	}
	seg := func(start, end int, label string) map[string]any {
		return map[string]any{"start": start, "end": end, "label": label}
	}
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "ends in the middle"},
		{"cut", string(text[:len(text)/2]), "ends in the middle"},
		{"not JSON", "take", "invalid character"},
		{"trailing", string(text) + "{}", "text after the take"},
		{"unknown field", set("colour", 1), `unknown field "colour"`},
		{"wrong type", set("frames", "many"), "cannot unmarshal string"},
		{"schema", set("schema", 2), "schema 2; this program reads 1"},
		{"no name", set("name", ""), "name is empty"},
		{"early", set("start_ns", -5), "start_ns -5"},
		{"fps", set("fps", 0), "fps 0"},
		{"frames", set("frames", 0), "frames 0"},
		{"background not first", set("labels", []string{"a", Background}), `want "background" first`},
		{"segments missing", set("segments", nil), "segments end in 0; want 30"},
		{"segments with a hole", set("segments", []any{seg(0, 10, Background), seg(11, 30, Background)}), "segment 1 is [11, 30): want it to begin in 10"},
		{"empty segment", set("segments", []any{seg(0, 0, Background)}), "segment 0 is [0, 0)"},
		{"unknown label", set("segments", []any{seg(0, 30, "fly")}), `segment 0 has label "fly"`},
		{"too long", set("segments", []any{seg(0, 31, Background)}), "segments end in 31; want 30"},
		{"video elsewhere", setCam("video", "../x.mp4"), `camera 0 ("exo1"): want an id, and plain file names`},
		{"kind", setCam("kind", "side"), `kind "side"`},
		{"size", setCam("width", 0), "size 0x180"},
		{"camera fps", setCam("fps", -1), "fps -1"},
		{"lengths", setCam("jitter_ns", []int{1}), "jitter_ns 1 values"},
		{"no frames", setCam("capture_ns", []int{}), "capture_ns has 0"},
		{"drops", setCam("dropped", []int{3, 2}), "doesn't ascend"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, TruthFile)
			if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			k, err := ReadTake(dir)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v, error %v; want one with %q and the path", k, err, tc.want)
			}
		})
	}
	if _, err := ReadTake(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), TruthFile) {
		t.Errorf("missing take: error %v", err)
	}
}

func FuzzParseTake(f *testing.F) {
	// Small, or the fuzzer spends its time on making it smaller.
	f.Add([]byte(`{"schema":1,"name":"a","fps":30,"frames":2,"labels":["background","b"],"segments":[{"start":0,"end":2,"label":"b"}],` +
		`"cameras":[{"id":"ego","kind":"ego","video":"a","stamps":"b","width":1,"height":1,"fps":30,"capture_ns":[1],"jitter_ns":[2]}]}`))
	f.Add([]byte(`{"schema":1,"segments":[{"start":0,"end":9000000000000000000}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseTake(text)
		if err != nil {
			return
		}
		for i := range k.Cameras {
			if got, want := len(k.RawNS(&k.Cameras[i])), len(k.Cameras[i].CaptureNS); got != want {
				t.Fatalf("%d stamps for %d frames", got, want)
			}
		}
		k.LabelAt(k.StartNS)
		if again, err := json.Marshal(k); err != nil {
			t.Fatal(err)
		} else if _, err := parseTake(again); err != nil {
			t.Fatalf("what was read is not accepted again: %v", err)
		}
	})
}

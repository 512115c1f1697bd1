package compare_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbinet/npyio"

	"tandem/trainer/compare"
	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// write makes a small data set of the two-stream layout: two folds of four takes, ego features of more dimensions than exo
// features have.
func write(t *testing.T, more int) string {
	t.Helper()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	var names []string
	save := func(path string, content []byte) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	array := func(path string, frames int, rows ...[]float32) {
		var flat []float32
		for _, r := range rows {
			flat = append(flat, r...)
		}
		// npyio writes a slice as one dimension; the header is made to say two.
		var b bytes.Buffer
		if err := npyio.Write(&b, flat); err != nil {
			t.Fatal(err)
		}
		old := fmt.Sprintf("(%d,)", len(flat))
		shape := fmt.Sprintf("(%d, %d)", len(rows), frames)
		head := string(b.Bytes()[:b.Len()-4*len(flat)])
		changed := strings.Replace(head, old, shape, 1)
		more := len(changed) - len(head)
		changed = changed[:len(changed)-1-more] + "\n" // as long as it was
		save(path, append([]byte(changed), b.Bytes()[len(head):]...))
	}
	const frames = 96
	for i := range 4 {
		name := fmt.Sprintf("take%d", i)
		names = append(names, name)
		var truth strings.Builder
		exo, ego := make([][]float32, 3), make([][]float32, 3+more)
		for f, c := 0, i%3; f < frames; c = (c + 1 + rng.IntN(2)) % 3 {
			for range 9 + rng.IntN(10) {
				if f == frames {
					break
				}
				f++
				fmt.Fprintf(&truth, "step_%d\n", c)
				for d := range exo {
					exo[d] = append(exo[d], float32(rng.NormFloat64()*0.3))
				}
				exo[c][len(exo[c])-1] += 2
				for d := range ego {
					ego[d] = append(ego[d], float32(rng.NormFloat64()*0.3))
				}
				ego[2+more-c][f-1] -= 2
			}
		}
		array("features_exo/"+name+".npy", frames, exo...)
		array("features_ego/"+name+".npy", frames, ego...)
		save("groundTruth/"+name+".txt", []byte(truth.String()))
	}
	save("mapping.txt", []byte("0 step_0\n1 step_1\n2 step_2\n"))
	for k := 1; k <= 2; k++ {
		var train, test string
		for i, n := range names {
			if i%2 == k-1 {
				test += n + "\n"
			} else {
				train += n + "\n"
			}
		}
		save(fmt.Sprintf("splits/train.split%d.bundle", k), []byte(train))
		save(fmt.Sprintf("splits/test.split%d.bundle", k), []byte(test))
	}
	return dir
}

func open(t *testing.T, dir string) *dataset.Dataset {
	t.Helper()
	set, err := dataset.Open(t.Context(), dir, dataset.Auto, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

func plan() compare.Plan {
	p := compare.Plan{
		Methods: []string{compare.Teacher, "exo-only", "ego-oracle", "tas", "tandem"}, Seeds: 2, Jitter: []float64{0, 5}, Workers: 2,
		Options: method.Options{Epochs: 10, Rate: 1e-2, Network: method.Network{Channels: 8, Layers: 3, Dropout: -1}},
	}
	p.Options.Session.Threads = 1
	p.Options.Offset.Band = 10
	return p
}

func measure(t *testing.T, set *dataset.Dataset, p compare.Plan, path string) (compare.Table, []string) {
	t.Helper()
	store, err := compare.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	var notes []string
	table, err := compare.Run(t.Context(), set, p, store, func(p compare.Progress) {
		if p.Now == "" && p.Done > 0 && !strings.HasSuffix(p.Note, "measured before") {
			notes = append(notes, p.Note)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return table, notes
}

func TestAComparisonGoesOnWhereItWas(t *testing.T) {
	set := open(t, write(t, 1))
	path := filepath.Join(t.TempDir(), "out", "results.jsonl")
	table, notes := measure(t, set, plan(), path)
	// Teacher, exo-only and oracle once, the others at two jitters; two folds, two seeds.
	if len(table.Rows) != 7 || len(notes) != 7*4 {
		t.Fatalf("%d rows, %d measurements", len(table.Rows), len(notes))
	}
	for _, r := range table.Rows {
		switch r.Method {
		case "exo-only":
			if !strings.Contains(r.NotApplicable, "4 and 3") {
				t.Errorf("exo-only on streams of two widths: %+v", r)
			}
			continue
		case "tandem":
			if r.OffsetError == nil {
				t.Error("the error of tandem's offsets is missing")
			}
		}
		if r.MoF.Mean < 40 || r.MoF.Mean > 100 || r.MoF.SD == nil {
			t.Errorf("%s, jitter %g: MoF %v", r.Method, r.Jitter, r.MoF)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil || bytes.Count(whole, []byte("\n")) != 28 {
		t.Fatalf("%d results in the file, %v", bytes.Count(whole, []byte("\n")), err)
	}

	// Half of the results, the last of them cut off.
	lines := bytes.SplitAfter(whole, []byte("\n"))
	half := append(bytes.Join(lines[:14], nil), lines[14][:20]...)
	if err := os.WriteFile(path, half, 0o644); err != nil {
		t.Fatal(err)
	}
	again, _ := measure(t, set, plan(), path)
	var one, two bytes.Buffer
	if err := table.Print(&one); err != nil {
		t.Fatal(err)
	}
	if err := again.Print(&two); err != nil {
		t.Fatal(err)
	}
	if one.String() != two.String() {
		t.Errorf("gone on, the table is\n%s\nand was\n%s", two.String(), one.String())
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(now, bytes.Join(lines[:14], nil)) || bytes.Count(now, []byte("\n")) != 28 {
		t.Errorf("the file has %d lines, %v", bytes.Count(now, []byte("\n")), err)
	}
}

func TestWhatCannotBeComparedIsNamed(t *testing.T) {
	for _, c := range []struct {
		spoil func(p *compare.Plan)
		want  string
	}{
		{func(p *compare.Plan) { p.Methods = nil }, "no methods"},
		{func(p *compare.Plan) { p.Methods = []string{"magic"} }, `"magic"`},
		{func(p *compare.Plan) { p.Seeds = 0 }, "0 seeds"},
		{func(p *compare.Plan) { p.Jitter = []float64{-1} }, "jitter -1"},
		{func(p *compare.Plan) { p.Pairs = []float64{2} }, "share of 2"},
		{func(p *compare.Plan) { p.Choose = 0.9 }, "share of 0.9"},
	} {
		p := plan()
		c.spoil(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q", err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "results.jsonl")
	if err := os.WriteFile(path, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := compare.OpenStore(path); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a line that is no result gives %v", err)
	}
	mine := filepath.Join(t.TempDir(), "mine.jsonl")
	first, err := compare.OpenStore(mine)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compare.OpenStore(mine); err == nil || !strings.Contains(err.Error(), "another comparison writes to it") {
		t.Errorf("a file that is open gives %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	p := plan()
	p.Folds = []string{"9"}
	store, err := compare.OpenStore("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := compare.Run(t.Context(), open(t, write(t, 1)), p, store, nil); err == nil || !strings.Contains(err.Error(), `no fold "9"`) {
		t.Errorf("an unknown fold gives %v", err)
	}
}

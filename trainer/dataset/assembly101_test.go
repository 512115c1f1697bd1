package dataset

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/PowerDNS/lmdb-go/lmdb"
)

// database writes an LMDB database of pairs.
func database(t testing.TB, path string, pairs map[string]string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	env, err := lmdb.NewEnv()
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	if err := env.SetMapSize(16 << 20); err != nil {
		t.Fatal(err)
	}
	if err := env.Open(path, lmdb.NoSync, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := env.Update(func(txn *lmdb.Txn) error {
		db, err := txn.OpenRoot(0)
		for key, value := range pairs {
			if err == nil {
				err = txn.Put(db, []byte(key), []byte(value), 0)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// featureBytes are float32 in little-endian.
func featureBytes(values ...float32) string {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return string(out)
}

const (
	assemblyFixed = "C10119_rgb"
	assemblyHead  = "HMC_84358933_mono10bit"
	assemblyOther = "HMC_21179183_mono10bit"
)

// assemblyFrames adds the frames [1, end) of a recording: feature d of frame i is 100·d + i, plus what the device adds.
func assemblyFrames(pairs map[string]string, recording, device string, end int) {
	var add float32
	if device != assemblyFixed {
		add = 1000
	}
	for i := 1; i < end; i++ {
		pairs[frameKey(recording, device, i)] = featureBytes(add+float32(i), add+100+float32(i))
	}
}

// assembly writes a small Assembly101. Recordings r1 to r3 are seen from frame 1 on: r1 by both devices to frame 39, r2 by
// the other head camera to 29, r3 by the fixed camera only. change may spoil the databases before they are written.
func assembly(t testing.TB, change func(fixed, head, other map[string]string)) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "assembly101")
	fixed, head, other := map[string]string{}, map[string]string{}, map[string]string{}
	assemblyFrames(fixed, "r1", assemblyFixed, 40)
	assemblyFrames(head, "r1", assemblyHead, 40)
	assemblyFrames(fixed, "r2", assemblyFixed, 40)
	assemblyFrames(other, "r2", assemblyOther, 30)
	assemblyFrames(fixed, "r3", assemblyFixed, 40)
	assemblyFrames(fixed, "r10", assemblyFixed, 40) // its keys stand between those of r1 and r2
	assemblyFrames(head, "r10", assemblyHead, 40)
	if change != nil {
		change(fixed, head, other)
	}
	database(t, filepath.Join(root, "TSM_features", assemblyFixed), fixed)
	database(t, filepath.Join(root, "TSM_features", assemblyHead), head)
	database(t, filepath.Join(root, "TSM_features", assemblyOther), other)
	const notes = "coarse-annotations/"
	put(t, root, notes+"actions.csv", "action_id,verb_id,noun_id,action_cls,verb_cls,noun_cls\n1,0,1,attach wheel,attach,wheel\n0,0,0,attach arm,attach,arm\n")
	put(t, root, notes+"coarse_labels/assembly_r1.txt", "000000005\t000000010\tattach arm\t\n000000010\t000000035\tattach wheel\tx\n")
	put(t, root, notes+"coarse_labels/disassembly_r1.txt", "000000035\t000000040\tattach wheel\n")
	put(t, root, notes+"coarse_labels/assembly_r2.txt", "000000020\t000000036\tattach arm\n")
	put(t, root, notes+"coarse_labels/disassebly_r3.txt", "000000001\t000000008\tattach wheel\n")
	put(t, root, notes+"coarse_labels/assembly_r10.txt", "000000002\t000000009\tattach wheel\n")
	put(t, root, notes+"coarse_labels/assembly_r9.txt", "000000002\t000000009\tattach wheel\n")
	put(t, root, notes+"coarse_splits/train_coarse_assembly.txt", "assembly_r1.txt\tshared\ta30\tsuv\nassembly_r2.txt\tnotshared\ta31\tcar\nassembly_r9.txt\tshared\ta32\tcar\n")
	put(t, root, notes+"coarse_splits/train_coarse_disassembly.txt", "disassembly_r1.txt\tshared\ta30\tsuv\n")
	put(t, root, notes+"coarse_splits/val_coarse_assembly.txt", "assembly_r10.txt\tshared\ta30\tsuv\n")
	put(t, root, notes+"coarse_splits/val_coarse_disassembly.txt", "disassembly_r3.txt\tshared\ta30\tsuv\n")
	return root
}

func TestAssembly101(t *testing.T) {
	d := open(t, assembly(t, nil), Options{})
	if d.Format != "assembly101" || d.RateHz != 30 || len(d.Background) != 0 {
		t.Errorf("format %s, rate %g, background %q", d.Format, d.RateHz, d.Background)
	}
	if got, want := d.Labels.Names(), []string{"attach arm", "attach wheel"}; !slices.Equal(got, want) {
		t.Errorf("classes %q, want %q", got, want)
	}
	if got, want := d.Views(), []View{{"v4", Exo, 2}, {"e4", Ego, 2}}; !slices.Equal(got, want) {
		t.Errorf("views %v, want %v", got, want)
	}
	for _, want := range []struct {
		name   string
		first  int // frame
		labels []int
		views  string
	}{
		{"assembly_r1", 5, append(slices.Repeat([]int{0}, 5), slices.Repeat([]int{1}, 25)...), "v4 e4"},
		{"assembly_r10", 2, slices.Repeat([]int{1}, 7), "v4 e4"},
		{"assembly_r2", 20, slices.Repeat([]int{0}, 10), "v4 e4"}, // the head camera ends at frame 29, the labels at 35
		{"disassembly_r1", 35, slices.Repeat([]int{1}, 5), "v4 e4"},
		{"disassembly_r3", 1, slices.Repeat([]int{1}, 7), "v4"},
	} {
		x, ok := d.Take(want.name)
		if !ok {
			t.Errorf("take %s is missing", want.name)
			continue
		}
		labels, err := x.Labels(t.Context())
		if err != nil || !slices.Equal(labels, want.labels) || strings.Join(x.Views(), " ") != want.views || x.Samples != len(want.labels) {
			t.Errorf("%s: %v of views %v, %v", x.Name, labels, x.Views(), err)
		}
		for _, v := range x.Views() {
			add := map[string]float32{"v4": 0, "e4": 1000}[v]
			f := features(t, d, x.Name, v)
			for i := range f.Samples {
				if n := add + float32(want.first+i); !slices.Equal(f.Row(i), []float32{n, n + 100}) {
					t.Errorf("%s of %s: frame %d is %v", x.Name, v, i, f.Row(i))
				}
			}
		}
	}
	if f := d.Folds(); len(f) != 1 || !slices.Equal(f[0].Train, []string{"assembly_r1", "assembly_r2", "disassembly_r1"}) ||
		!slices.Equal(f[0].Test, []string{"assembly_r10", "disassembly_r3"}) || !slices.Equal(f[0].Pairs, f[0].Train) {
		t.Errorf("folds %v", f)
	}
	if want := []string{
		"1 take was trimmed where the features end before the labels (assembly_r2)",
		"1 take was left out: no features of v4, e4 (assembly_r9)",
		"view e4 did not see 1 take (disassembly_r3)",
	}; !slices.Equal(d.Notes, want) {
		t.Errorf("notes %q, want %q", d.Notes, want)
	}
	// Pooled as published: the greatest of a group, and its most frequent label.
	slow := open(t, assembly(t, nil), Options{RateHz: 10})
	if f := features(t, slow, "assembly_r1", "v4"); f.Samples != 10 || f.Row(0)[0] != 7 || f.Row(9)[1] != 134 {
		t.Errorf("pooled features %v", f.Data)
	}
	x, _ := slow.Take("assembly_r1")
	if labels, err := x.Labels(t.Context()); err != nil || !slices.Equal(labels, []int{0, 0, 1, 1, 1, 1, 1, 1, 1, 1}) {
		t.Errorf("pooled labels %v, %v", labels, err)
	}
	y, _ := imported(t, slow)
	same(t, y, slow)
}

func TestAssembly101Refuses(t *testing.T) {
	const notes = "coarse-annotations/"
	file := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, root string) { put(t, root, notes+name, text) }
	}
	for _, test := range []struct {
		name   string
		files  func(t *testing.T, root string)
		frames func(fixed, head, other map[string]string)
		o      Options
		want   string // of opening
		check  string
	}{
		{name: "view", o: Options{Exo: []string{"v9"}}, want: `there is no view "v9", there are v1 to v8 and e1 to e4`},
		{name: "view twice", o: Options{Exo: []string{"v4", "v4"}}, want: "view v4 is asked for twice"},
		{name: "view without features", o: Options{Ego: "e1"},
			want: "ROOT holds no features of view e1, expected TSM_features/HMC_84346135_mono10bit/data.mdb or TSM_features/HMC_21176875_mono10bit/data.mdb"},
		{name: "no database", files: func(t *testing.T, root string) { put(t, root, "TSM_features/"+assemblyFixed+"/data.mdb", "nothing") },
			want: "ROOT/TSM_features/C10119_rgb: mdb_env_open: MDB_INVALID: File is not an LMDB file"},
		{name: "empty directory", files: func(t *testing.T, root string) {
			if err := os.Remove(filepath.Join(root, "TSM_features", assemblyFixed, "data.mdb")); err != nil {
				t.Fatal(err)
			}
		}, want: "ROOT/TSM_features/C10119_rgb/data.mdb is missing, expected the file of an LMDB database"},
		{name: "missing frame", frames: func(fixed, _, _ map[string]string) { delete(fixed, frameKey("r1", assemblyFixed, 12)) },
			check: "take assembly_r1: ROOT/TSM_features/C10119_rgb: take r1: frame 12 is missing: there is no key r1/C10119_rgb/C10119_rgb_0000000012.jpg"},
		{name: "NaN", frames: func(_, head, _ map[string]string) { head[frameKey("r1", assemblyHead, 12)] = featureBytes(1, nan) },
			check: "take assembly_r1: ROOT/TSM_features/HMC_84358933_mono10bit: take r1: feature 1 of frame 12 is NaN, expected a finite number; extract the features again or leave the take out"},
		{name: "short frame", frames: func(_, head, _ map[string]string) { head[frameKey("r1", assemblyHead, 12)] = featureBytes(1) },
			check: "take assembly_r1: ROOT/TSM_features/HMC_84358933_mono10bit: take r1: frame 12 has 4 bytes, expected 2 float32"},
		{name: "odd bytes", frames: func(_, head, _ map[string]string) { head[frameKey("r1", assemblyHead, 12)] = "abc" },
			check: "take assembly_r1: ROOT/TSM_features/HMC_84358933_mono10bit: take r1: frame 12 has 3 bytes, expected float32 numbers"},
		{name: "another key", frames: func(fixed, _, _ map[string]string) { fixed["r1/C10119_rgb/C10119_rgb_1.png"] = "" },
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: ROOT/TSM_features/C10119_rgb: the key is "r1/C10119_rgb/C10119_rgb_1.png", expected TAKE/VIEW/VIEW_ and ten digits and .jpg`},
		{name: "features begin late", frames: func(fixed, _, _ map[string]string) {
			for i := range 7 {
				delete(fixed, frameKey("r1", assemblyFixed, i))
			}
		}, want: "ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: assembly_r1: the features of view v4 begin with frame 7, the labels with frame 5"},
		{name: "label", files: file("coarse_labels/assembly_r1.txt", "5\t10\tattach arm\n10\t12\tattach leg\n"),
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: ROOT/coarse-annotations/coarse_labels/assembly_r1.txt:2: the label "attach leg" is none of the 2 actions of actions.csv`},
		{name: "columns", files: file("coarse_labels/assembly_r1.txt", "5 10 attach arm\n"),
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: ROOT/coarse-annotations/coarse_labels/assembly_r1.txt:1: found "5 10 attach arm", expected start frame, end frame and label with tabs between`},
		{name: "frames", files: file("coarse_labels/assembly_r1.txt", "10\t5\tattach arm\n"),
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: ROOT/coarse-annotations/coarse_labels/assembly_r1.txt:1: the frames are "10" to "5", expected two rising whole numbers`},
		{name: "gap", files: file("coarse_labels/assembly_r1.txt", "5\t10\tattach arm\n11\t12\tattach arm\n"),
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: ROOT/coarse-annotations/coarse_labels/assembly_r1.txt:2: the segment begins with frame 11, the one before ends at 10; expected no gap and no overlap`},
		{name: "no segments", files: file("coarse_labels/assembly_r1.txt", "\n"),
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: ROOT/coarse-annotations/coarse_labels/assembly_r1.txt holds no segments`},
		{name: "twice", files: file("coarse_splits/train_coarse_assembly.txt", "assembly_r1.txt\tx\nassembly_r1.txt\tx\n"),
			want: "ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:2: take assembly_r1 is there twice"},
		{name: "type", files: file("coarse_splits/train_coarse_assembly.txt", "r1.txt\tx\n"),
			want: `ROOT/coarse-annotations/coarse_splits/train_coarse_assembly.txt:1: take "r1": expected a name that begins with assembly_`},
		{name: "empty split", files: func(t *testing.T, root string) {
			put(t, root, notes+"coarse_splits/val_coarse_assembly.txt", "assembly_r9.txt\n")
			put(t, root, notes+"coarse_splits/val_coarse_disassembly.txt", "")
		}, want: "the val split is empty: ROOT/coarse-annotations/coarse_splits holds no take with features of v4, e4"},
		{name: "header", files: file("actions.csv", "id,name\n"), want: "ROOT/coarse-annotations/actions.csv: the columns are \"id,name\", expected action_id and action_cls among them"},
		{name: "action id", files: file("actions.csv", "action_id,action_cls\nx,a\n"), want: `ROOT/coarse-annotations/actions.csv: line 2: action_id is "x", expected a whole number from 0`},
		{name: "action id twice", files: file("actions.csv", "action_id,action_cls\n0,a\n0,b\n"), want: `ROOT/coarse-annotations/actions.csv: line 3: action_id 0 is there already`},
		{name: "action twice", files: file("actions.csv", "action_id,action_cls\n0,a\n1,a\n"), want: `ROOT/coarse-annotations/actions.csv: line 3: action_cls is "a", expected each action once`},
		{name: "action missing", files: file("actions.csv", "action_id,action_cls\n0,a\n2,b\n"), want: `ROOT/coarse-annotations/actions.csv: there are 2 actions and none has id 1, expected 0 to 1`},
		{name: "no actions", files: file("actions.csv", "action_id,action_cls\n"), want: `ROOT/coarse-annotations/actions.csv: there are no actions`},
		{name: "ragged", files: file("actions.csv", "action_id,action_cls\n0\n"), want: `ROOT/coarse-annotations/actions.csv: record on line 2: wrong number of fields`},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := assembly(t, test.frames)
			if test.files != nil {
				test.files(t, root)
			}
			d, err := Open(t.Context(), root, "assembly101", test.o)
			if test.want != "" {
				if err == nil {
					d.Close()
					t.Fatalf("was opened, want %s", test.want)
				}
				if got := strings.ReplaceAll(err.Error(), root, "ROOT"); got != "assembly101 data set: "+test.want {
					t.Errorf("got  %s\nwant %s", got, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			s, err := d.Check(t.Context(), nil)
			if err != nil || len(s.Problems) != 1 || strings.ReplaceAll(s.Problems[0], root, "ROOT") != test.check {
				t.Errorf("got  %q, %v\nwant %s", s.Problems, err, test.check)
			}
		})
	}
}

func TestAssembly101InOneFile(t *testing.T) {
	root := assembly(t, nil)
	for _, device := range []string{assemblyFixed, assemblyHead, assemblyOther} {
		dir := filepath.Join(root, "TSM_features", device)
		if err := os.Rename(filepath.Join(dir, "data.mdb"), dir+".lmdb"); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, root, Options{})
	if f := features(t, d, "assembly_r1", "v4"); f.Row(0)[0] != 5 {
		t.Errorf("frame 0 is %v", f.Row(0))
	}
}

// TestAnEmptyValueAtTheEndOfADatabase begins beyond the file: touching it would end the process.
func TestAnEmptyValueAtTheEndOfADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	database(t, path, map[string]string{frameKey("r1", "v", 3): ""})
	s, err := openFrameStore(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	if first, end, ok, err := s.frames("r1", "v"); first != 3 || end != 4 || !ok || err != nil {
		t.Errorf("frames %d to %d, %v: %v", first, end, ok, err)
	}
	if _, err := s.dim("r1", "v", 3); err == nil || !strings.Contains(err.Error(), "frame 3 has 0 bytes") {
		t.Errorf("an empty value: %v", err)
	}
}

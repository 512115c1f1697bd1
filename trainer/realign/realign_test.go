package realign

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tandem/trainer/pairfile"
)

// cell is a world with two cameras of which the first is 0.8 s late.
func cell(seed uint64) world {
	return world{seed: seed, seconds: 40, spares: true, cameras: []view{
		{name: "exo1", late: 800 * time.Millisecond, bound: 2 * time.Millisecond, phase: 9 * time.Millisecond},
		{name: "exo2", bound: time.Millisecond, phase: 20 * time.Millisecond},
	}}
}

func late(ms, err float64) []Offset { return []Offset{{Camera: "exo1", OffsetMS: ms, ErrorMS: err}} }

// A camera that is 0.8 s late is paired with what it shows of the same instant, by the bounds that it has then.
func TestPairsAreOfOneInstant(t *testing.T) {
	for _, spares := range []bool{true, false} {
		w := cell(1)
		w.spares = spares
		in := t.TempDir()
		w.store(t, in, "rig-1", "take-1")
		out, r := redo(t, in, Options{Offsets: late(795, 10)})
		worst, n := int64(0), 0
		w.truth(t, out, func(camera string, apart, dt, bound int64) {
			if off := max(apart-dt, dt-apart); off > bound {
				t.Errorf("%s: truly %d ns apart, said %d ± %d", camera, apart, dt, bound)
			}
			if camera == "exo1" {
				n++
				worst = max(worst, apart, -apart)
				if bound != int64(13*time.Millisecond) {
					t.Fatalf("bound %d ns, expected 1 + 2 + 10 ms", bound)
				}
			}
		})
		if worst > int64(100*time.Millisecond) || n < 560 {
			t.Errorf("%d pairs, up to %v apart", n, time.Duration(worst))
		}
		c := r.Takes[0].Cameras
		if len(c) != 2 || c[0].Action != Aligned || c[1].Action != Kept || c[0].OffsetMS != 795 || c[0].ErrorMS != 10 || c[0].Before.OffsetMS != 0 {
			t.Fatalf("%+v", c)
		}
		for _, c := range c {
			for _, p := range []Pairing{c.Before, c.After} {
				total := p.Pairs()
				for _, n := range p.Rejected {
					total += n
				}
				if total != r.Takes[0].Samples {
					t.Errorf("%s: %d pairs and rejections of %d samples: %+v", c.Camera, total, r.Takes[0].Samples, p)
				}
			}
		}
		// The rig's last 0.8 s are shown by samples that it got after its end, which an older one did not store.
		a := c[0].After
		missing := a.Rejected["no_exo"]
		if a.Pairs() != uint64(n) || spares != (missing == 0) || missing > 13 || c[0].Unpaired == 0 {
			t.Errorf("%+v, %d unpaired", a, c[0].Unpaired)
		}
	}
}

// However an archive is aligned, what the rig paired comes back byte for byte, and what came before leaves no trace.
func TestThereAndBack(t *testing.T) {
	for name, w := range map[string]world{
		"as rigs store": cell(2), "of an older rig": func() world { w := cell(3); w.spares = false; return w }(),
		"interpolated":      func() world { w := cell(4); w.mix = true; return w }(),
		"a release changes": func() world { w := cell(5); w.cameras[0].change = 333; return w }(),
	} {
		t.Run(name, func(t *testing.T) {
			in := t.TempDir()
			w.store(t, in, "rig-1", "take-1")
			w.seed += 100
			w.store(t, in, "rig-2", "take-1")
			one, _ := redo(t, in, Options{Offsets: late(800, 5)})
			again, _ := redo(t, in, Options{Offsets: late(800, 5)})
			twice, _ := redo(t, one, Options{Offsets: late(800, 5)})
			other := []Offset{{Camera: "exo1", OffsetMS: -2500, DriftPPM: 40, ErrorMS: 1}, {Device: "rig-1", Camera: "exo2", OffsetMS: 33}}
			straight, _ := redo(t, in, Options{Offsets: other})
			round, _ := redo(t, one, Options{Offsets: other})
			if !sameFiles(t, one, again) || !sameFiles(t, one, twice) || !sameFiles(t, straight, round) || sameFiles(t, one, straight) {
				t.Error("the result depends on what came before")
			}
			for _, dir := range []string{one, round} {
				back, r := redo(t, dir, Options{Undo: true})
				if !sameFiles(t, in, back) {
					t.Error("the rigs' pairs did not come back")
				}
				if c := r.Takes[0].Cameras[0]; c.Action != Undone || c.After.OffsetMS != 0 || c.Before.OffsetMS == 0 {
					t.Errorf("%+v", c)
				}
			}
			if same, r := redo(t, in, Options{Undo: true}); !sameFiles(t, in, same) || r.Takes[0].Cameras[0].Action != Kept {
				t.Error("nothing to undo, and yet something was done")
			}
		})
	}
}

// An offset of 0 gives the rig's own pairs: they are a function of the samples.
func TestNoOffset(t *testing.T) {
	for seed := range uint64(4) {
		w := cell(10 + seed)
		w.mix = seed%2 == 1
		in := t.TempDir()
		w.store(t, in, "rig-1", "take-1")
		out, r := redo(t, in, Options{Offsets: []Offset{{Camera: "exo1"}, {Camera: "exo2"}}})
		type entry struct {
			camera           string
			apart, dt, bound int64
		}
		read := func(dir string) (list []entry) {
			w.truth(t, dir, func(camera string, apart, dt, bound int64) {
				list = append(list, entry{camera, apart, dt, bound})
			})
			return list
		}
		if a, b := read(in), read(out); !slices.Equal(a, b) {
			t.Errorf("seed %d: %d pairs became %d others", seed, len(a), len(b))
		}
		for _, c := range r.Takes[0].Cameras {
			if c.Before.Pairs() != c.After.Pairs() || c.Before.Gold != c.After.Gold {
				t.Errorf("%+v became %+v", c.Before, c.After)
			}
		}
	}
}

// What the rig never stored can't come back: only the archives of newer rigs have it.
func TestSparesArePaired(t *testing.T) {
	pairs := map[bool]uint64{}
	for _, spares := range []bool{true, false} {
		w := cell(20)
		w.spares = spares
		in := t.TempDir()
		w.store(t, in, "rig-1", "take-1")
		_, r := redo(t, in, Options{Offsets: late(800, 0)})
		pairs[spares] = r.Takes[0].Cameras[0].After.Gold + r.Takes[0].Cameras[0].After.Silver
	}
	if pairs[true] <= pairs[false] {
		t.Errorf("%d good pairs with all samples stored, %d without", pairs[true], pairs[false])
	}
}

// The most exact offset counts, and one that fits nothing is a mistake.
func TestWhichOffsetHolds(t *testing.T) {
	in := t.TempDir()
	w := cell(30)
	w.seconds = 10
	for _, id := range []string{"rig-1/a", "rig-1/b", "rig-2/a"} {
		device, name, _ := strings.Cut(id, "/")
		w.store(t, in, device, name)
	}
	_, r := redo(t, in, Options{Offsets: []Offset{
		{Camera: "exo1", OffsetMS: 100}, {Device: "rig-1", Camera: "exo1", OffsetMS: 200}, {Device: "rig-1", Take: "b", Camera: "exo1", OffsetMS: 300},
	}})
	var got []float64
	for _, take := range r.Takes {
		got = append(got, take.Cameras[0].OffsetMS)
	}
	if want := []float64{200, 300, 100}; !slices.Equal(got, want) {
		t.Errorf("offsets %v, want %v", got, want)
	}
	if n := len(r.Offsets()); n != 3 {
		t.Errorf("%d offsets to be used again", n)
	}
	out := filepath.Join(t.TempDir(), "new")
	_, err := Run(t.Context(), in, out, Options{Offsets: []Offset{{Device: "rig-1", Camera: "exo9"}}})
	if err == nil || !strings.Contains(err.Error(), "the offset for rig-1/exo9 fits no camera of a take; there are rig-1/a/exo1,") {
		t.Errorf("got %v", err)
	}
	empty(t, filepath.Dir(out))
}

// empty fails unless nothing is in a directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	in := t.TempDir()
	w := cell(40)
	w.seconds = 8
	w.store(t, in, "rig-1", "a")
	w.store(t, in, "rig-1", "b")
	path := pairfile.Dir(in).Path(pairfile.Take{Device: "rig-1", Name: "b"})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := len(pairfile.Header) + 12 + 40
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"damage":       {func() []byte { d := slices.Clone(whole); d[at] ^= 1; return d }(), path + ": the record at byte 15 is damaged: its checksum is wrong"},
		"another file": {[]byte("hello, I am no archive"), path + `: it does not begin with "tandem pairs 1"`},
		"twice":        {append(slices.Clone(whole), whole[len(pairfile.Header):]...), "repeats sample 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			parent := t.TempDir()
			_, err := Run(t.Context(), in, filepath.Join(parent, "new"), Options{Offsets: late(800, 0)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			empty(t, parent)
		})
	}
	if err := os.WriteFile(path, whole[:len(whole)-9], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, r := redo(t, in, Options{Offsets: late(800, 0)}); !r.Takes[1].Torn || r.Takes[0].Torn {
		t.Error("a torn record isn't reported")
	}
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for out, want := range map[string]string{
		used: "is not empty; name another directory", in: "lies in the archive that is read", filepath.Join(in, "sub"): "lies in the archive that is read",
	} {
		if _, err := Run(t.Context(), in, out, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", out, err, want)
		}
	}
	if _, err := Run(t.Context(), used, filepath.Join(t.TempDir(), "new"), Options{}); err == nil || !strings.Contains(err.Error(), "holds no DEVICE/TAKE.pairs") {
		t.Errorf("no archive: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	parent := t.TempDir()
	if _, err := Run(ctx, in, filepath.Join(parent, "new"), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	empty(t, parent)
}

func TestFullDisk(t *testing.T) {
	in, small := t.TempDir(), t.TempDir()
	w := cell(50)
	w.store(t, in, "rig-1", "a")
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small file system can't be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	}()
	_, err := Run(t.Context(), in, filepath.Join(small, "new"), Options{Offsets: late(800, 0)})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "the new archive needs about as much room as the old one") {
		t.Errorf("got %v", err)
	}
	empty(t, small)
}

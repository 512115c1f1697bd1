package trainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"tandem/stream/wire"
	"tandem/trainer/pairfile"
)

var take1 = TakeID{"rig-1", "take-1"}

// firsts returns the first sequence numbers of a take's batches in the order in which Read gives them.
func firsts(t *testing.T, a *Archive, id TakeID) []uint64 {
	t.Helper()
	var list []uint64
	if err := a.Read(id, func(b *wire.PairBatch) error {
		list = append(list, b.Ego.FirstSeq)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestArchiveRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store", "pairs")
	a := openTestArchive(t, dir)
	late := paired(take1, 20, 5)
	sent := []*wire.PairBatch{paired(take1, 0, 10), late, paired(take1, 10, 10), last(paired(take1, 25, 3))}
	addAll(t, a, sent...)
	want := []*wire.PairBatch{sent[0], sent[2], late, sent[3]}
	check := func(a *Archive) {
		t.Helper()
		i := 0
		if err := a.Read(take1, func(b *wire.PairBatch) error {
			if got := encode(t, b); !bytes.Equal(got, encode(t, want[i])) {
				t.Errorf("batch %d is not what was stored", i)
			}
			i++
			return nil
		}); err != nil || i != len(want) {
			t.Errorf("read %d batches, %v; want %d", i, err, len(want))
		}
		if s := a.Stats(); s != (ArchiveStats{Takes: 1, Ended: 1, Pairs: 28}) {
			t.Errorf("stats are %+v", s)
		}
	}
	check(a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	check(openTestArchive(t, dir))
}

func TestArchiveDoesNotStoreAResend(t *testing.T) {
	dir := t.TempDir()
	a := openTestArchive(t, dir)
	addAll(t, a, paired(take1, 0, 10), batch(take1, 10, 4))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	size := fileSize(t, take1.path(dir))
	a = openTestArchive(t, dir)
	for range 3 { // also those of before the restart
		if stored, err := a.Add(paired(take1, 0, 10)); stored || err != nil {
			t.Errorf("a resend: stored %v, %v", stored, err)
		}
	}
	addAll(t, a, paired(TakeID{"rig-2", "take-1"}, 0, 1), paired(TakeID{"rig-1", "take-2"}, 0, 1)) // of others
	if got := fileSize(t, take1.path(dir)); got != size {
		t.Errorf("the file grew from %d to %d bytes", size, got)
	}
	if s := a.Stats(); s != (ArchiveStats{Takes: 3, Pairs: 12, Unpaired: 4, Duplicates: 3}) {
		t.Errorf("stats are %+v", s)
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestArchiveKeepsTakesApart(t *testing.T) {
	a := openTestArchive(t, t.TempDir())
	ids := []TakeID{{"rig-2", "take-1"}, {"rig-1", "take-2"}, {"rig-1", "take-1"}, {"rig", "1-take"}}
	for i, id := range ids {
		addAll(t, a, paired(id, uint64(i), 2))
	}
	addAll(t, a, last(paired(ids[0], 9, 1)), last(batch(ids[2], 9, 0)), last(paired(ids[3], 9, 1)))
	if got, want := a.Ended(), []TakeID{ids[3], ids[2], ids[0]}; !slices.Equal(got, want) {
		t.Errorf("ended are %v, want %v", got, want)
	}
	for i, id := range ids {
		if got := firsts(t, a, id); got[0] != uint64(i) {
			t.Errorf("%s begins with %d", id, got[0])
		}
	}
	if s := a.Stats(); s.Takes != 4 || s.Ended != 3 {
		t.Errorf("stats are %+v", s)
	}
}

// TestArchiveCountsPartners: a partner whose grade is rejected is none.
func TestArchiveCountsPartners(t *testing.T) {
	a := openTestArchive(t, t.TempDir())
	b := batch(take1, 0, 5)
	pairWith(b, "exo1", 1, 0, 1, 2)
	pairWith(b, "exo2", 2, 1, 2, 3).Grade[4] = wire.Grade_GRADE_REJECTED
	addAll(t, a, b)
	if s := a.Stats(); s.Pairs != 3 || s.Unpaired != 2 {
		t.Errorf("%d paired and %d unpaired samples, want 3 and 2", s.Pairs, s.Unpaired)
	}
}

// TestArchiveAfterACut cuts the file at each byte of its last record and of its header, as a power cut may. What was
// whole is kept, the rest is cut off and counted, and the archive goes on.
func TestArchiveAfterACut(t *testing.T) {
	root := t.TempDir()
	a := openTestArchive(t, root)
	addAll(t, a, paired(take1, 0, 1), paired(take1, 1, 1))
	whole := fileSize(t, take1.path(root))
	addAll(t, a, last(paired(take1, 2, 1)))
	data, err := os.ReadFile(take1.path(root))
	if err != nil {
		t.Fatal(err)
	}
	var cuts []int
	for i := range len(pairfile.Header) {
		cuts = append(cuts, i)
	}
	for i := int(whole); i <= len(data); i++ {
		cuts = append(cuts, i)
	}
	for _, cut := range cuts {
		dir := t.TempDir()
		writeTake(t, dir, take1, data[:cut])
		a := openTestArchive(t, dir)
		records, kept, torn := []uint64{0, 1}, whole, uint64(1)
		switch {
		case cut < len(pairfile.Header):
			records, kept = nil, 0
		case cut == int(whole):
			torn = 0
		case cut == len(data):
			records, kept, torn = append(records, 2), int64(len(data)), 0
		}
		if s := a.Stats(); s.Torn != torn || s.Pairs != uint64(len(records)) || s.Ended != len(records)/3 {
			t.Fatalf("cut at %d of %d: stats are %+v", cut, len(data), s)
		}
		if got := fileSize(t, take1.path(dir)); got != kept {
			t.Fatalf("cut at %d of %d: the file has %d bytes, want %d", cut, len(data), got, kept)
		}
		if got := firsts(t, a, take1); !slices.Equal(got, records) {
			t.Fatalf("cut at %d of %d: it holds the batches %v, want %v", cut, len(data), got, records)
		}
		if cut%16 == 0 || cut == len(data) { // each takes a sync of the disk
			addAll(t, a, paired(take1, 7, 1))
			if got, want := firsts(t, a, take1), slices.Concat(records, []uint64{7}); !slices.Equal(got, want) {
				t.Fatalf("cut at %d of %d: after another batch it holds %v, want %v", cut, len(data), got, want)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func writeTake(t *testing.T, dir string, id TakeID, data []byte) {
	t.Helper()
	path := id.path(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestArchiveRefusesWhatIsDamaged(t *testing.T) {
	a := openTestArchive(t, t.TempDir())
	addAll(t, a, paired(take1, 0, 1), paired(take1, 1, 1))
	data, err := os.ReadFile(take1.path(a.dir))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data[len(pairfile.Header)+12+5] ^= 1
	writeTake(t, dir, take1, data)
	_, err = OpenArchive(dir)
	if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), "byte 15 is damaged") || !strings.Contains(err.Error(), take1.path(dir)) {
		t.Errorf("got %v, want an error that names the file and the byte", err)
	}
	if got, err := os.ReadFile(take1.path(dir)); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the damaged file was changed (%v)", err)
	}
	if err := os.Remove(take1.path(dir)); err != nil {
		t.Fatal(err)
	}
	openTestArchive(t, dir) // moved away, it is no hindrance, and the failed attempt holds no lock
}

func TestArchiveRefusesForeignFiles(t *testing.T) {
	a := openTestArchive(t, t.TempDir())
	addAll(t, a, paired(take1, 0, 1))
	data, err := os.ReadFile(take1.path(a.dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		prepare func(t *testing.T, dir string)
		want    string
	}{
		"a renamed take":      {func(t *testing.T, dir string) { writeTake(t, dir, TakeID{"rig-1", "other"}, data) }, "is of the take rig-1/take-1"},
		"another format":      {func(t *testing.T, dir string) { writeTake(t, dir, take1, []byte("tandem pears 1\n")) }, `does not begin with "tandem pairs 1"`},
		"a name of no device": {func(t *testing.T, dir string) { writeTake(t, dir, TakeID{"Rig 1", "t"}, data) }, "device: "},
		"a name of no take":   {func(t *testing.T, dir string) { writeTake(t, dir, TakeID{"rig-1", "copy of t"}, data) }, "take: "},
		"a directory": {func(t *testing.T, dir string) {
			if err := os.MkdirAll(take1.path(dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
		"a directory that cannot be read": {func(t *testing.T, dir string) {
			if err := os.Symlink("rig-1", filepath.Join(dir, "rig-1")); err != nil { // a loop stops even root
				t.Fatal(err)
			}
		}, "rig-1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.prepare(t, dir)
			_, err := OpenArchive(dir)
			if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrArchive with %q", err, c.want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenArchive(file); !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a directory: %v", err)
	}
}

// TestArchiveNameIsNoPattern: what the shell would expand is an ordinary name.
func TestArchiveNameIsNoPattern(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "line [1]*")
	a := openTestArchive(t, dir)
	addAll(t, a, paired(take1, 0, 3))
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if s := openTestArchive(t, dir).Stats(); s.Pairs != 3 {
		t.Errorf("opened again, it holds %d pairs", s.Pairs)
	}
}

func TestArchiveHasOneWriter(t *testing.T) {
	dir := t.TempDir()
	a := openTestArchive(t, dir)
	if _, err := OpenArchive(dir); !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), "another trainer has it open") {
		t.Errorf("a second writer: %v", err)
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Add(paired(take1, 0, 1)); !errors.Is(err, ErrArchive) {
		t.Errorf("Add after Close: %v", err)
	}
	openTestArchive(t, dir)
}

func TestArchiveAddRefuses(t *testing.T) {
	dir := t.TempDir()
	a := openTestArchive(t, dir)
	bad := paired(take1, 0, 1)
	bad.Ego.Device = "../up"
	if _, err := a.Add(bad); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("a device that is no token: %v", err)
	}
	// A file where the device's directory should be: nothing can be stored, and nothing is counted.
	if err := os.WriteFile(filepath.Join(dir, "rig-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(paired(take1, 0, 1)); !errors.Is(err, ErrArchive) {
		t.Errorf("no room for the device: %v", err)
	}
	if s := a.Stats(); s != (ArchiveStats{}) {
		t.Errorf("stats are %+v", s)
	}
	if err := os.Remove(filepath.Join(dir, "rig-1")); err != nil {
		t.Fatal(err)
	}
	addAll(t, a, paired(take1, 0, 1)) // the same batch, once there is room
	if err := os.Remove(take1.path(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Add(paired(take1, 1, 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the take's file is gone: %v, want an error rather than half a take", err)
	}
}

func TestArchiveRead(t *testing.T) {
	a := openTestArchive(t, t.TempDir())
	if err := a.Read(take1, nil); !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), "holds no take rig-1/take-1") {
		t.Errorf("an unknown take: %v", err)
	}
	addAll(t, a, paired(take1, 0, 1), paired(take1, 1, 1))
	stop := errors.New("enough")
	calls := 0
	if err := a.Read(take1, func(*wire.PairBatch) error { calls++; return stop }); !errors.Is(err, stop) || calls != 1 {
		t.Errorf("the caller's error: %v after %d calls", err, calls)
	}
	// Batches may be added while others are read, even by the reader.
	seen := 0
	if err := a.Read(take1, func(b *wire.PairBatch) error {
		seen++
		_, err := a.Add(paired(take1, b.Ego.FirstSeq+10, 1))
		return err
	}); err != nil || seen != 2 {
		t.Errorf("read %d batches, %v; want the 2 that were there", seen, err)
	}
}

// TestArchiveConcurrently: several senders, resends among them, and readers.
func TestArchiveConcurrently(t *testing.T) {
	const senders, batches, takes = 4, 12, 2
	a := openTestArchive(t, t.TempDir())
	var g errgroup.Group
	for range senders {
		g.Go(func() error {
			for i := range batches {
				id := TakeID{"rig-1", fmt.Sprintf("take-%d", i%takes)}
				if _, err := a.Add(paired(id, uint64(i), 1)); err != nil {
					return err
				}
				if err := a.Read(id, func(*wire.PairBatch) error { return nil }); err != nil {
					return err
				}
				a.Stats()
				a.Ended()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if s := a.Stats(); s != (ArchiveStats{Takes: takes, Pairs: batches, Duplicates: (senders - 1) * batches}) {
		t.Errorf("stats are %+v", s)
	}
}

func TestReadArchiveBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	a := openTestArchive(t, dir)
	b := batch(take1, 0, 4)
	pairWith(b, "exo1", 1, 2).Grade[0] = wire.Grade_GRADE_BRONZE
	b.Rejected = map[string]uint64{"exo1/far": 1}
	addAll(t, a, b, paired(TakeID{"rig-1", "take-2"}, 0, 2))
	// A record that is being written is not there yet.
	f, err := os.OpenFile(take1.path(dir), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(pairfile.AppendRecord(nil, encode(t, paired(take1, 4, 1)))[:40]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	x, err := ReadArchive(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(x.Takes) != 2 || x.Samples != 6 || x.Paired != 5 || x.Twice != 0 || x.Grades["gold"] != 4 || x.Grades["bronze"] != 1 || x.Rejected["exo1/far"] != 1 {
		t.Errorf("got %+v", x)
	}
}

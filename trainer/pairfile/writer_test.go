package pairfile

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/stream/wire"
)

func decoded(t *testing.T, payload []byte) *wire.PairBatch {
	t.Helper()
	b, err := wire.DecodePairBatch(payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is written is what the archive would have made of it, and what is copied is what was there.
func TestWriter(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "new"))
	w, err := d.Create(rig)
	if err != nil {
		t.Fatal(err)
	}
	one, two := batch(t, rig, 10, 5), batch(t, rig, 0, 10)
	for _, payload := range [][]byte{one, two} {
		if err := w.Add(decoded(t, payload)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(decoded(t, batch(t, Take{"rig-2", "x"}, 0, 1))); err == nil || !strings.Contains(err.Error(), "is of the take rig-2/x") {
		t.Errorf("a batch of another take: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat([]byte(Header), record(one), record(two))
	if got, err := os.ReadFile(d.Path(rig)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
	}
	if _, err := d.Create(rig); !os.IsExist(err) {
		t.Errorf("a file that is there: %v", err)
	}
	// A half-written record is not copied.
	if err := os.WriteFile(d.Path(rig), want[:len(want)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	var at []int64
	f, err := d.Open(rig, func(i int64, _ *wire.PairBatch) error {
		at = append(at, i)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Torn() || len(at) != 1 {
		t.Errorf("torn %v, records at %v", f.Torn(), at)
	}
	if b, err := f.Read(at[0]); err != nil || b.Ego.FirstSeq != 10 {
		t.Errorf("read %v, %v", b, err)
	}
	if _, err := f.Read(at[0] + 1); err == nil || !strings.HasPrefix(err.Error(), d.Path(rig)+": ") {
		t.Errorf("where no record begins: %v", err)
	}
	copied := Dir(t.TempDir())
	if err := f.CopyTo(copied); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(copied.Path(rig)); err != nil || !bytes.Equal(got, want[:len(Header)+len(record(one))]) {
		t.Errorf("the copy has %d bytes, %v", len(got), err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

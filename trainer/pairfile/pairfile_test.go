package pairfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/stream/wire"
)

var rig = Take{"rig-1", "take-1"}

// batch is a batch of n samples of a take from first on.
func batch(t testing.TB, take Take, first uint64, n int) []byte {
	t.Helper()
	times := make([]int64, n)
	for i := range times {
		times[i] = 1_700_000_000_000_000_000 + int64(first+uint64(i))*1e8
	}
	deltas := wire.AppendDeltas(nil, times)
	features, _ := wire.AppendF16(nil, make([]float32, n))
	data, err := wire.Encode(&wire.PairBatch{Ego: &wire.SampleBatch{
		Device: take.Device, Take: take.Name, Release: "r-1", Extractor: strings.Repeat("e", 64), RateHz: 10, FirstSeq: first,
		RawNs: deltas, SiteNs: deltas, StampKind: wire.StampKind_STAMP_KIND_SIDECAR, ClockSource: wire.ClockSource_CLOCK_SOURCE_RECORDED,
		Dim: 1, Features: features,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// record makes a record of a payload.
func record(payload []byte) []byte { return AppendRecord(nil, payload) }

func write(t testing.TB, take Take, parts ...[]byte) Dir {
	t.Helper()
	d := Dir(t.TempDir())
	if err := os.MkdirAll(filepath.Dir(d.Path(take)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Path(take), slices.Concat(parts...), 0o644); err != nil {
		t.Fatal(err)
	}
	return d
}

// firsts reads a take and returns where its batches begin.
func firsts(d Dir, take Take) (list []uint64, err error) {
	err = d.Read(take, func(b *wire.PairBatch) error {
		list = append(list, b.Ego.FirstSeq)
		return nil
	})
	return list, err
}

func TestReadInOrder(t *testing.T) {
	d := write(t, rig, []byte(Header), record(batch(t, rig, 10, 5)), record(batch(t, rig, 0, 10)), record(batch(t, rig, 15, 1)))
	if got, err := firsts(d, rig); err != nil || !slices.Equal(got, []uint64{0, 10, 15}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, name := range []string{".lock", "rig-1/notes.txt"} {
		if err := os.WriteFile(filepath.Join(string(d), name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(string(d), "rig-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Path(Take{"rig-0", "z"}), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Takes(); err != nil || fmt.Sprint(got) != "[rig-0/z rig-1/take-1]" {
		t.Errorf("takes %v, %v", got, err)
	}
	if got, err := firsts(d, Take{"rig-0", "z"}); err != nil || len(got) > 0 {
		t.Errorf("an empty file: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(string(d), "rig-1", "Take 7.pairs"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Takes(); err == nil || !strings.Contains(err.Error(), "Take 7.pairs is no file of the archive, move it away") {
		t.Errorf("a foreign file: %v", err)
	}
}

func TestTornAndDamaged(t *testing.T) {
	one, two := record(batch(t, rig, 0, 10)), record(batch(t, rig, 10, 10))
	spoilt := slices.Clone(two)
	spoilt[len(spoilt)-1]++
	headless := slices.Clone(one)
	headless[0]++
	at := len(Header) + len(one)
	const hint = "; move the file away to go on without the take"
	for _, test := range []struct {
		name string
		file []byte
		want []uint64
		err  string
	}{
		{"header cut off", []byte(Header)[:5], nil, ""},
		{"only a Header", []byte(Header), nil, ""},
		{"another file", []byte("something else here"), nil, `it does not begin with "tandem pairs 1": it is no file of pairs`},
		{"cut in a record's Header", slices.Concat([]byte(Header), one, two[:7]), []uint64{0}, ""},
		{"cut in a payload", slices.Concat([]byte(Header), one, two[:30]), []uint64{0}, ""},
		{"data that had not come", slices.Concat([]byte(Header), one, spoilt), []uint64{0}, ""},
		{"zeros that had not come", slices.Concat([]byte(Header), one, make([]byte, 100)), []uint64{0}, ""},
		{"damage in the middle", slices.Concat([]byte(Header), one, spoilt, one), nil, fmt.Sprintf("the record at byte %d is damaged: its checksum is wrong", at) + hint},
		{"a bad header in the middle", slices.Concat([]byte(Header), headless, two), nil, fmt.Sprintf("the record at byte %d is damaged: its header is wrong", len(Header)) + hint},
		{"no batch", slices.Concat([]byte(Header), record([]byte("x"))), nil, fmt.Sprintf("the record at byte %d is damaged: ", len(Header))},
		{"of another take", slices.Concat([]byte(Header), record(batch(t, Take{"rig-1", "take-2"}, 0, 1))), nil,
			fmt.Sprintf("the record at byte %d is of the take rig-1/take-2; give the file its name back", len(Header))},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := write(t, rig, test.file)
			got, err := firsts(d, rig)
			switch {
			case test.err == "" && (err != nil || !slices.Equal(got, test.want)):
				t.Errorf("%v, %v; want %v", got, err, test.want)
			case test.err != "" && (err == nil || !strings.HasPrefix(err.Error(), d.Path(rig)+": "+test.err)):
				t.Errorf("got  %v\nwant %s", err, test.err)
			}
		})
	}
	d := write(t, rig, []byte(Header), one)
	stop := fmt.Errorf("enough")
	if err := d.Read(rig, func(*wire.PairBatch) error { return stop }); err != stop { //nolint:errorlint // it comes as it is
		t.Errorf("the caller's error: %v", err)
	}
	if _, err := firsts(d, Take{"rig-9", "x"}); !os.IsNotExist(err) {
		t.Errorf("no such take: %v", err)
	}
}

package pairfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem/stream/wire"
)

// pairsFile is a take's file of n records, and where each begins.
func pairsFile(t testing.TB, n int) (data []byte, at []int) {
	t.Helper()
	data = []byte(Header)
	for i := range n {
		at = append(at, len(data))
		data = AppendRecord(data, batch(t, rig, uint64(i), 1))
	}
	return data, at
}

// readAll returns the first sequence numbers in a file.
func readAll(data []byte) (list []uint64, end int64, err error) {
	end, err = Scan(bytes.NewReader(data), int64(len(data)), func(_ int64, b *wire.PairBatch) error {
		list = append(list, b.Ego.FirstSeq)
		return nil
	})
	return list, end, err
}

// TestEveryCut: whatever a file is cut to, what is whole is read and what is left is known to be torn.
func TestEveryCut(t *testing.T) {
	data, at := pairsFile(t, 3)
	starts := slices.Concat(at, []int{len(data)})
	for cut := range len(data) + 1 {
		list, end, err := readAll(data[:cut])
		want, whole := 0, 0
		for i, s := range starts {
			if cut >= s {
				want, whole = i, s
			}
		}
		if len(list) != want || end != int64(whole) {
			t.Fatalf("cut at %d: %d records up to byte %d, want %d up to %d", cut, len(list), end, want, whole)
		}
		if torn := cut != whole || cut == 0; torn != errors.Is(err, ErrTorn) || !torn && err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// TestEveryFlip: a flipped bit in front of other records is an error that names the record's byte; in the last one it
// can't be told from a power cut.
func TestEveryFlip(t *testing.T) {
	data, at := pairsFile(t, 3)
	for i := range data {
		for _, bit := range []int{i % 8, 7 - i%8} {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			list, end, err := readAll(bad)
			switch {
			case i < at[0]:
				if err == nil || !strings.Contains(err.Error(), "does not begin with") {
					t.Fatalf("bit %d of byte %d: %v", bit, i, err)
				}
			case i < at[2]:
				start, record := at[0], 0
				if i >= at[1] {
					start, record = at[1], 1
				}
				want := fmt.Sprintf("the record at byte %d is damaged", start)
				// A length that reaches beyond the file's end is caught by the header's checksum.
				if err == nil || errors.Is(err, ErrTorn) || !strings.Contains(err.Error(), want) || len(list) != record {
					t.Fatalf("bit %d of byte %d: %d records, %v; want %q", bit, i, len(list), err, want)
				}
			default:
				if !errors.Is(err, ErrTorn) || end != int64(at[2]) || len(list) != 2 {
					t.Fatalf("bit %d of byte %d: %d records up to %d, %v", bit, i, len(list), end, err)
				}
			}
		}
	}
}

// TestBlocksThatWereNotWritten: after a power cut a file may have its new length and zeros where the data had not come.
func TestBlocksThatWereNotWritten(t *testing.T) {
	data, at := pairsFile(t, 3)
	for name, bad := range map[string][]byte{
		"zeros for a header":      append(bytes.Clone(data), make([]byte, recordHead)...),
		"zeros for a record":      append(bytes.Clone(data), make([]byte, 5000)...),
		"the record's first part": append(append(bytes.Clone(data[:at[2]]), make([]byte, 100)...), data[at[2]+100:]...),
		"the record's last part":  append(bytes.Clone(data[:at[2]+100]), make([]byte, len(data)-at[2]-100)...),
	} {
		list, end, err := readAll(bad)
		if !errors.Is(err, ErrTorn) || len(list) < 2 || end != int64(slices.Concat(at, []int{len(data)})[len(list)]) {
			t.Errorf("%s: %d records up to %d, %v", name, len(list), end, err)
		}
	}
	// More than a record can't come from a single write.
	if _, _, err := readAll(append(bytes.Clone(data), make([]byte, maxRecord+recordHead+1)...)); err == nil || errors.Is(err, ErrTorn) {
		t.Errorf("more zeros than a record: %v", err)
	}
}

func TestRecordsThatAreNoPairs(t *testing.T) {
	data, _ := pairsFile(t, 1)
	at := len(data)
	data = AppendRecord(data, []byte("not a message"))
	if _, end, err := readAll(data); err == nil || errors.Is(err, ErrTorn) || end != int64(at) || !strings.Contains(err.Error(), fmt.Sprintf("byte %d", at)) {
		t.Errorf("up to %d: %v", end, err)
	}
}

// FuzzScan reads a whole record and what follows it. Nothing crashes, and what is left after the repair reads
// cleanly and gives the same.
func FuzzScan(f *testing.F) {
	payload := batch(f, rig, 3, 2)
	f.Add([]byte(Header), payload, []byte{})
	f.Add([]byte(Header), payload, AppendRecord(nil, payload))
	f.Add([]byte(Header), payload, make([]byte, 50))
	f.Add([]byte("tandem"), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, head, payload, tail []byte) {
		data := append(AppendRecord(bytes.Clone(head), payload), tail...)
		list, end, err := readAll(data)
		if end < 0 || end > int64(len(data)) {
			t.Fatalf("the whole records reach to %d of %d", end, len(data))
		}
		if err != nil && !errors.Is(err, ErrTorn) {
			return
		}
		again, e, err := readAll(data[:end])
		if end > 0 && err != nil || e != end || len(again) != len(list) {
			t.Fatalf("after the repair: %d records up to %d, %v; want %d up to %d", len(again), e, err, len(list), end)
		}
	})
}

// Package pairfile holds the format of the pair archive's files: it reads them, also beside a trainer that is writing to
// them, and makes their records.
//
// A take's file is DEVICE/TAKE.pairs: the line "tandem pairs 1" and then records of
//
//	length of the payload uint32 | CRC-32C of the payload uint32 | CRC-32C of these 8 bytes uint32 | payload
//
// little-endian, in the order of arrival. The payload is an encoded wire.PairBatch.
package pairfile

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/stream/wire"
)

const suffix = ".pairs"

// Take names a rig's take.
type Take struct{ Device, Name string }

func (t Take) String() string { return t.Device + "/" + t.Name }

func (t Take) compare(u Take) int {
	return cmp.Or(strings.Compare(t.Device, u.Device), strings.Compare(t.Name, u.Name))
}

// Dir is a directory of the archive's files.
type Dir string

// Takes returns the takes, sorted by device and name. Files that are none of the archive's are not looked at; one with the
// archive's ending whose name can't be a take's is an error.
func (d Dir) Takes() ([]Take, error) {
	devices, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err // names the directory
	}
	var takes []Take
	for _, dev := range devices {
		if dev.Type().IsRegular() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(string(d), dev.Name()))
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name, ok := strings.CutSuffix(f.Name(), suffix)
			if !ok {
				continue
			}
			t := Take{dev.Name(), name}
			err := wire.CheckToken("device", t.Device)
			if err == nil {
				err = wire.CheckToken("take", t.Name)
			}
			if err != nil {
				return nil, fmt.Errorf("%s is no file of the archive, move it away: %w", d.Path(t), err)
			}
			takes = append(takes, t)
		}
	}
	slices.SortFunc(takes, Take.compare)
	return takes, nil
}

// Path returns a take's file.
func (d Dir) Path(t Take) string { return filepath.Join(string(d), t.Device, t.Name+suffix) }

// Check makes sure that a batch, whose record begins at a byte, is of the take in whose file it lies: files can be renamed.
func (t Take) Check(at int64, b *wire.PairBatch) error {
	if got := (Take{b.Ego.Device, b.Ego.Take}); got != t {
		return fmt.Errorf("the record at byte %d is of the take %s; give the file its name back", at, got)
	}
	return nil
}

// Read calls fn with each batch of a take in the order of sequence numbers, as far as whole records reach. What a power
// cut, or a trainer at work, leaves half-written at the end is not read; damage anywhere else is an error.
func (d Dir) Read(t Take, fn func(*wire.PairBatch) error) error { return d.read(t, -1, fn) }

// ReadTo is Read of a file whose whole records are known to end at a byte: it is an error if they don't.
func (d Dir) ReadTo(t Take, end int64, fn func(*wire.PairBatch) error) error {
	return d.read(t, end, fn)
}

func (d Dir) read(t Take, end int64, fn func(*wire.PairBatch) error) error {
	path := d.Path(t)
	f, err := os.Open(path)
	if err != nil {
		return err // names the file
	}
	defer f.Close() //nolint:errcheck // only read
	size := end
	if end < 0 {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size = info.Size()
	}
	if size == 0 {
		return nil // its first record has not come, or was cut off
	}
	type record struct {
		first uint64
		at    int64
	}
	var list []record
	_, err = Scan(f, size, func(at int64, b *wire.PairBatch) error {
		list = append(list, record{b.Ego.FirstSeq, at})
		return t.Check(at, b)
	})
	if err != nil && (end >= 0 || !errors.Is(err, ErrTorn)) {
		return fmt.Errorf("%s: %w", path, err)
	}
	slices.SortStableFunc(list, func(x, y record) int { return cmp.Compare(x.first, y.first) })
	for _, r := range list {
		b, err := readRecord(f, r.at)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

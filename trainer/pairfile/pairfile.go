// Package pairfile reads the pair archive's files, beside a trainer that may be writing to them.
//
// A take's file is DEVICE/TAKE.pairs: the line "tandem pairs 1" and then records of
//
//	length of the payload uint32 | CRC-32C of the payload uint32 | CRC-32C of these 8 bytes uint32 | payload
//
// little-endian, in the order of arrival. The payload is an encoded wire.PairBatch.
package pairfile

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/stream/wire"
)

const (
	suffix     = ".pairs"
	header     = "tandem pairs 1\n"
	recordHead = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
		if !dev.IsDir() {
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
				return nil, fmt.Errorf("%s is no file of the archive, move it away: %w", d.path(t), err)
			}
			takes = append(takes, t)
		}
	}
	slices.SortFunc(takes, Take.compare)
	return takes, nil
}

func (d Dir) path(t Take) string { return filepath.Join(string(d), t.Device, t.Name+suffix) }

// Read calls fn with each batch of a take in the order of sequence numbers, as far as whole records reach. What a power
// cut, or a trainer at work, leaves half-written at the end is not read; damage anywhere else is an error.
func (d Dir) Read(t Take, fn func(*wire.PairBatch) error) error {
	path := d.path(t)
	f, err := os.Open(path)
	if err != nil {
		return err // names the file
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	type record struct {
		first uint64
		at, n int64
	}
	var list []record
	err = scan(f, info.Size(), func(at int64, payload []byte) error {
		b, err := decode(at, payload)
		if err != nil {
			return err
		}
		if got := (Take{b.Ego.Device, b.Ego.Take}); got != t {
			return fmt.Errorf("the record at byte %d is of the take %s; give the file its name back", at, got)
		}
		list = append(list, record{b.Ego.FirstSeq, at, int64(len(payload))})
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	slices.SortStableFunc(list, func(x, y record) int { return cmp.Compare(x.first, y.first) })
	for _, r := range list {
		payload := make([]byte, r.n)
		if _, err := f.ReadAt(payload, r.at+recordHead); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		b, err := decode(r.at, payload)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

func decode(at int64, payload []byte) (*wire.PairBatch, error) {
	b, err := wire.DecodePairBatch(payload)
	if err != nil {
		return nil, damaged(at, err.Error())
	}
	return b, nil
}

func damaged(at int64, why string) error {
	return fmt.Errorf("the record at byte %d is damaged: %s; move the file away to go on without the take", at, why)
}

// scan calls fn with the payload of each whole record, which is valid until fn returns, and the byte at which the record
// begins. A record that was cut off at the end is not an error.
func scan(r io.ReaderAt, size int64, fn func(at int64, payload []byte) error) error {
	begin := make([]byte, min(size, int64(len(header))))
	if err := readAt(r, begin, 0); err != nil {
		return err
	}
	if string(begin) != header[:len(begin)] {
		return fmt.Errorf("it does not begin with %q: it is no file of pairs", header[:len(header)-1])
	}
	var payload []byte
	for at := int64(len(header)); size-at >= recordHead; {
		var head [recordHead]byte
		if err := readAt(r, head[:], at); err != nil {
			return err
		}
		n, sum, ok := parseHead(head[:])
		next := at + recordHead + n
		if ok && next > size {
			return nil // it was cut off
		}
		if !ok {
			return torn(r, at, size)
		}
		if int64(cap(payload)) < n {
			payload = make([]byte, n)
		}
		payload = payload[:n]
		if err := readAt(r, payload, at+recordHead); err != nil {
			return err
		}
		if crc32.Checksum(payload, castagnoli) != sum {
			if next == size {
				return nil // the file had grown, the data had not come yet
			}
			return damaged(at, "its checksum is wrong")
		}
		if err := fn(at, payload); err != nil {
			return err
		}
		at = next
	}
	return nil
}

// torn judges the bytes [at, size), which do not begin with a record's header. A power cut leaves at most one record, and
// nothing whole after it.
func torn(r io.ReaderAt, at, size int64) error {
	const why = "its header is wrong"
	if size-at > recordHead+wire.MaxMessage {
		return damaged(at, why)
	}
	tail := make([]byte, size-at)
	if err := readAt(r, tail, at); err != nil {
		return err
	}
	for i := 1; i+recordHead < len(tail); i++ {
		rest := tail[i:]
		n, sum, ok := parseHead(rest)
		if ok && n <= int64(len(rest)-recordHead) && crc32.Checksum(rest[recordHead:recordHead+n], castagnoli) == sum {
			return damaged(at, why)
		}
	}
	return nil
}

// parseHead returns the length and the checksum of the payload; false unless head is that of a record.
func parseHead(head []byte) (n int64, sum uint32, ok bool) {
	if crc32.Checksum(head[:8], castagnoli) != binary.LittleEndian.Uint32(head[8:]) {
		return 0, 0, false
	}
	n = int64(binary.LittleEndian.Uint32(head))
	return n, binary.LittleEndian.Uint32(head[4:]), n > 0 && n <= wire.MaxMessage
}

// readAt fills p. The end of the file in its middle is an error.
func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

package trainer

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"tandem/stream/wire"
)

// A take's file is a header line and then records of
//
//	length of the payload uint32 | CRC-32C of the payload uint32 | CRC-32C of these 8 bytes uint32 | payload
//
// little-endian, in the order of arrival. The payload is an encoded wire.PairBatch. The header's own checksum tells a
// record that was cut off from one whose length is damaged.
const (
	archiveHeader = "tandem pairs 1\n"
	recordHead    = 12
	maxRecord     = wire.MaxMessage
)

// errTorn says that a file ends in what a power cut leaves of a record: one record at most was being written, and
// nothing follows it.
var errTorn = errors.New("the last record is cut off")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends a record with the payload to dst.
func appendRecord(dst, payload []byte) []byte {
	var head [recordHead]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(head[8:], crc32.Checksum(head[:8], castagnoli))
	return append(append(dst, head[:]...), payload...)
}

// parseHead returns the length and the checksum of the payload; false unless head is that of a record.
func parseHead(head []byte) (n int64, sum uint32, ok bool) {
	if crc32.Checksum(head[:8], castagnoli) != binary.LittleEndian.Uint32(head[8:]) {
		return 0, 0, false
	}
	n = int64(binary.LittleEndian.Uint32(head))
	return n, binary.LittleEndian.Uint32(head[4:]), n > 0 && n <= maxRecord
}

// readRecords calls fn with each record of the first size bytes of a take's file, and with the byte at which it begins.
// It returns how far the whole records reach, and errTorn when the beginning of one more follows.
func readRecords(r io.ReaderAt, size int64, fn func(at int64, b *wire.PairBatch) error) (end int64, err error) {
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), int(min(size, 1<<18)))
	head := make([]byte, min(size, int64(len(archiveHeader))))
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, err
	}
	if string(head) != archiveHeader[:len(head)] {
		return 0, fmt.Errorf("it does not begin with %q: it is no file of pairs", archiveHeader[:len(archiveHeader)-1])
	}
	if len(head) < len(archiveHeader) {
		return 0, errTorn
	}
	end = int64(len(archiveHeader))
	var payload []byte
	for end < size {
		if size-end < recordHead {
			return end, errTorn
		}
		var head [recordHead]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return end, err
		}
		n, sum, ok := parseHead(head[:])
		if !ok {
			return end, unreadable(r, end, size)
		}
		next := end + recordHead + n
		if next > size {
			return end, errTorn
		}
		if int64(cap(payload)) < n {
			payload = make([]byte, n)
		}
		payload = payload[:n]
		if _, err := io.ReadFull(in, payload); err != nil {
			return end, err
		}
		if crc32.Checksum(payload, castagnoli) != sum {
			if next == size {
				return end, errTorn // the file had grown, the data had not come yet
			}
			return end, damaged(end, "its checksum is wrong")
		}
		b, err := wire.DecodePairBatch(payload)
		if err != nil {
			return end, damaged(end, err.Error())
		}
		if err := fn(end, b); err != nil {
			return end, err
		}
		end = next
	}
	return end, nil
}

func damaged(at int64, why string) error {
	return fmt.Errorf("the record at byte %d is damaged: %s; move the file away to go on without the take", at, why)
}

// unreadable judges the bytes [at, size), which do not begin with a record's header. They are a torn record unless they are
// more than one record, or a whole record lies among them.
func unreadable(r io.ReaderAt, at, size int64) error {
	why := "its header is wrong"
	if size-at > recordHead+maxRecord {
		return damaged(at, why)
	}
	tail := make([]byte, size-at)
	if _, err := r.ReadAt(tail, at); err != nil {
		return err
	}
	for i := 1; i+recordHead < len(tail); i++ {
		rest := tail[i:]
		n, sum, ok := parseHead(rest)
		if ok && n <= int64(len(rest)-recordHead) && crc32.Checksum(rest[recordHead:recordHead+n], castagnoli) == sum {
			return damaged(at, why)
		}
	}
	return errTorn
}

// readTake calls fn with each batch in a take's file in the order of sequence numbers. end is where the whole records
// end; -1 reads as far as they reach now, beside a process that writes.
func readTake(dir string, id TakeID, end int64, fn func(*wire.PairBatch) error) (err error) {
	path := id.path(dir)
	fail := func(err error) error { return fmt.Errorf("%w: %s: %w", ErrArchive, path, err) }
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	defer f.Close() //nolint:errcheck // only read
	size := end
	if end < 0 {
		info, err := f.Stat()
		if err != nil {
			return fail(err)
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
	_, err = readRecords(f, size, func(at int64, b *wire.PairBatch) error {
		list = append(list, record{b.Ego.FirstSeq, at})
		return id.check(at, b)
	})
	if err != nil && (end >= 0 || !errors.Is(err, errTorn)) {
		return fail(err)
	}
	slices.SortStableFunc(list, func(x, y record) int { return cmp.Compare(x.first, y.first) })
	for _, r := range list {
		b, err := readRecord(f, r.at)
		if err != nil {
			return fail(err)
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// readRecord reads the record at a byte that is known to begin one.
func readRecord(r io.ReaderAt, at int64) (*wire.PairBatch, error) {
	head := make([]byte, recordHead)
	if _, err := r.ReadAt(head, at); err != nil {
		return nil, err
	}
	n, sum, ok := parseHead(head)
	if !ok {
		return nil, damaged(at, "its header has changed while it was read")
	}
	payload := make([]byte, n)
	if _, err := r.ReadAt(payload, at+recordHead); err != nil {
		return nil, err
	}
	if crc32.Checksum(payload, castagnoli) != sum {
		return nil, damaged(at, "it has changed while it was read")
	}
	return wire.DecodePairBatch(payload)
}

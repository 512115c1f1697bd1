package pairfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"tandem/stream/wire"
)

// Header begins a file.
const Header = "tandem pairs 1\n"

// A record's header, whose own checksum tells a record that was cut off from one whose length is damaged, and its payload.
const (
	recordHead = 12
	maxRecord  = wire.MaxMessage
)

// ErrTorn says that a file ends in what a power cut leaves of a record: one record at most was being written, and
// nothing follows it.
var ErrTorn = errors.New("the last record is cut off")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendRecord appends a record with the payload to dst.
func AppendRecord(dst, payload []byte) []byte {
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

// Scan calls fn with each record of the first size bytes of a take's file, and with the byte at which it begins. It
// returns how far the whole records reach, and ErrTorn when the beginning of one more follows.
func Scan(r io.ReaderAt, size int64, fn func(at int64, b *wire.PairBatch) error) (end int64, err error) {
	in := bufio.NewReaderSize(io.NewSectionReader(r, 0, size), int(min(size, 1<<18)))
	head := make([]byte, min(size, int64(len(Header))))
	if _, err := io.ReadFull(in, head); err != nil {
		return 0, err
	}
	if string(head) != Header[:len(head)] {
		return 0, fmt.Errorf("it does not begin with %q: it is no file of pairs", Header[:len(Header)-1])
	}
	if len(head) < len(Header) {
		return 0, ErrTorn
	}
	end = int64(len(Header))
	var payload []byte
	for end < size {
		if size-end < recordHead {
			return end, ErrTorn
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
			return end, ErrTorn
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
				return end, ErrTorn // the file had grown, the data had not come yet
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
	return ErrTorn
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

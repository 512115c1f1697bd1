package trainer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"tandem/stream/wire"
)

// The archive keeps pairs as they came: one file a rig and take, <device>/<take>.pairs, a header line and then records of
//
//	length uint32 | CRC-32C of the payload uint32 | payload (an encoded wire.PairBatch)
//
// little-endian, in the order of arrival. A record is acknowledged to the sender only once it is on the disk. What a
// power cut leaves half-written at the end fails its length or checksum and is cut off when the file is opened for
// writing, which is counted; a bad record anywhere else is an error, since that is not what a power cut does.
const (
	archiveHeader = "tandem pairs 1\n"
	archiveSuffix = ".pairs"
	maxRecord     = 64 << 20
)

// ErrArchive is wrapped by errors about a damaged archive.
var ErrArchive = errors.New("pair archive")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Archive is the pairs of a line on disk. Its methods may be called by several goroutines.
type Archive struct {
	dir   string
	mu    sync.Mutex
	takes map[TakeID]*takeFile
	stats ArchiveStats
}

// TakeID names a rig's take.
type TakeID struct{ Device, Take string }

func (t TakeID) String() string { return t.Device + "/" + t.Take }

// ArchiveStats counts what the archive holds and what happened to it.
type ArchiveStats struct {
	Takes      int    `json:"takes"`
	Ended      int    `json:"ended"`      // takes that are complete
	Pairs      uint64 `json:"pairs"`      // ego samples with at least one exo partner
	Unpaired   uint64 `json:"unpaired"`   // ego samples without
	Duplicates uint64 `json:"duplicates"` // batches that were there already and were not stored again
	Torn       uint64 `json:"torn"`       // half-written records that were cut off
}

type takeFile struct {
	f     *os.File
	first map[uint64]bool // first sequence numbers that are stored
	ended bool
}

// OpenArchive opens the archive in a directory, which it makes if it is not there, and repairs what a power cut left. The
// caller closes it.
func OpenArchive(dir string) (*Archive, error) {
	a := &Archive{dir: dir, takes: map[TakeID]*takeFile{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	ids, err := a.list()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := a.open(id); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

func (a *Archive) list() ([]TakeID, error) {
	paths, err := filepath.Glob(filepath.Join(a.dir, "*", "*"+archiveSuffix))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	ids := make([]TakeID, len(paths))
	for i, p := range paths {
		ids[i] = TakeID{filepath.Base(filepath.Dir(p)), strings.TrimSuffix(filepath.Base(p), archiveSuffix)}
	}
	slices.SortFunc(ids, func(x, y TakeID) int { return strings.Compare(x.String(), y.String()) })
	return ids, nil
}

func (a *Archive) path(id TakeID) string {
	return filepath.Join(a.dir, id.Device, id.Take+archiveSuffix)
}

// open opens a take's file for appending, after reading what it holds.
func (a *Archive) open(id TakeID) error {
	path := a.path(id)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	t := &takeFile{f: f, first: map[uint64]bool{}}
	end, err := readRecords(f, func(b *wire.PairBatch) error {
		t.note(b)
		a.stats.count(b)
		return nil
	})
	if errors.Is(err, errTorn) {
		a.stats.Torn++
		err = f.Truncate(end)
	}
	if err == nil && end == 0 {
		_, err = f.WriteAt([]byte(archiveHeader), 0)
		end = int64(len(archiveHeader))
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %s: %w", ErrArchive, path, err), f.Close())
	}
	a.takes[id] = t
	a.stats.Takes++
	if t.ended {
		a.stats.Ended++
	}
	return nil
}

func (t *takeFile) note(b *wire.PairBatch) {
	t.first[b.Ego.FirstSeq] = true
	t.ended = t.ended || b.Last
}

func (s *ArchiveStats) count(b *wire.PairBatch) {
	for i := range b.Ego.RawNs {
		paired := false
		for _, x := range b.Exo {
			paired = paired || x.Index[i] >= 0
		}
		if paired {
			s.Pairs++
		} else {
			s.Unpaired++
		}
	}
}

// Add stores a batch durably. A batch whose take and first sequence number are stored already is a resend: it is counted
// and not stored again. stored tells which it was.
func (a *Archive) Add(b *wire.PairBatch) (stored bool, err error) {
	payload, err := wire.Encode(b)
	if err != nil {
		return false, err
	}
	if len(payload) > maxRecord {
		return false, fmt.Errorf("%w: a batch of %d bytes, at most %d can be stored", ErrArchive, len(payload), maxRecord)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	id := TakeID{b.Ego.Device, b.Ego.Take}
	if a.takes[id] == nil {
		if err := a.open(id); err != nil {
			return false, err
		}
	}
	t := a.takes[id]
	if t.first[b.Ego.FirstSeq] {
		a.stats.Duplicates++
		return false, nil
	}
	record := make([]byte, 8, 8+len(payload))
	binary.LittleEndian.PutUint32(record, uint32(len(payload)))
	binary.LittleEndian.PutUint32(record[4:], crc32.Checksum(payload, castagnoli))
	if err := appendDurably(t.f, append(record, payload...)); err != nil {
		return false, fmt.Errorf("%w: %s: %w", ErrArchive, a.path(id), err)
	}
	if b.Last && !t.ended {
		a.stats.Ended++
	}
	t.note(b)
	a.stats.count(b)
	return true, nil
}

// appendDurably writes at the end, or leaves the file as it was: a full disk must not leave half a record before the
// next one.
func appendDurably(f *os.File, data []byte) error {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err == nil {
		return nil
	}
	err = errors.Join(err, f.Truncate(at))
	_, e := f.Seek(at, io.SeekStart)
	return errors.Join(err, e)
}

// Stats returns the counts.
func (a *Archive) Stats() ArchiveStats {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats
}

// Ended returns the takes that are complete, sorted by device and take.
func (a *Archive) Ended() []TakeID {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []TakeID
	for id, t := range a.takes {
		if t.ended {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(x, y TakeID) int { return strings.Compare(x.String(), y.String()) })
	return ids
}

// Read calls fn with each batch of a take in the order of sequence numbers.
func (a *Archive) Read(id TakeID, fn func(*wire.PairBatch) error) error {
	f, err := os.Open(a.path(id))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	defer f.Close() //nolint:errcheck // only read
	var batches []*wire.PairBatch
	_, err = readRecords(f, func(b *wire.PairBatch) error {
		batches = append(batches, b)
		return nil
	})
	if err != nil && !errors.Is(err, errTorn) { // a record that is being written is not there yet
		return fmt.Errorf("%w: %s: %w", ErrArchive, f.Name(), err)
	}
	slices.SortFunc(batches, func(x, y *wire.PairBatch) int { return int(int64(x.Ego.FirstSeq) - int64(y.Ego.FirstSeq)) })
	for _, b := range batches {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files.
func (a *Archive) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, t := range a.takes {
		errs = append(errs, t.f.Close())
	}
	a.takes = map[TakeID]*takeFile{}
	return errors.Join(errs...)
}

var errTorn = errors.New("the last record is cut off")

// readRecords reads a take's file from its start. It returns how far the whole records reach, and errTorn when what
// follows them is the beginning of one more.
func readRecords(r io.ReadSeeker, fn func(*wire.PairBatch) error) (end int64, err error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(r, 1<<20)
	head := make([]byte, len(archiveHeader))
	if n, err := io.ReadFull(in, head); err != nil {
		if string(head[:n]) == archiveHeader[:n] {
			if n == 0 {
				return 0, nil
			}
			return 0, errTorn
		}
		return 0, fmt.Errorf("it does not begin with %q", strings.TrimSpace(archiveHeader))
	}
	if string(head) != archiveHeader {
		return 0, fmt.Errorf("it does not begin with %q", strings.TrimSpace(archiveHeader))
	}
	end = int64(len(head))
	for {
		var h [8]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return end, nil
			}
			return end, torn(err)
		}
		n := int64(binary.LittleEndian.Uint32(h[:]))
		if n > size-end-8 {
			return end, errTorn
		}
		if n > maxRecord {
			return end, fmt.Errorf("the record at byte %d claims %d bytes, at most %d are possible", end, n, maxRecord)
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(in, payload); err != nil {
			return end, torn(err)
		}
		next := end + 8 + n
		if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(h[4:]) {
			if next == size {
				return end, errTorn
			}
			return end, fmt.Errorf("the record at byte %d is damaged (checksum)", end)
		}
		b, err := wire.DecodePairBatch(payload)
		if err != nil {
			return end, fmt.Errorf("the record at byte %d: %w", end, err)
		}
		if err := fn(b); err != nil {
			return end, err
		}
		end = next
	}
}

func torn(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errTorn
	}
	return err
}

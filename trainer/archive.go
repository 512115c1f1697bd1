package trainer

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"tandem/stream/wire"
	"tandem/trainer/pairfile"
)

// The archive keeps pairs as they came: one file a rig and take, <device>/<take>.pairs (see package pairfile). A record is
// acknowledged to the sender only once it is on the disk. What a power cut leaves half-written at the end is cut off
// when the archive is opened, which is counted; a bad record anywhere else is an error, since that is not what a power
// cut does.
const lockFile = ".lock"

// ErrArchive is wrapped by errors about the archive: damaged, in use, out of space.
var ErrArchive = errors.New("pair archive")

// Archive is the pairs of a line on disk. Its methods may be called by several goroutines. One process at a time has it
// open for writing.
type Archive struct {
	dir   string
	mu    sync.Mutex
	lock  *os.File // nil once it is closed
	takes map[TakeID]*takeFile
	stats ArchiveStats
}

// TakeID names a rig's take.
type TakeID struct{ Device, Take string }

func (t TakeID) String() string { return t.Device + "/" + t.Take }

func (t TakeID) compare(u TakeID) int {
	return cmp.Or(strings.Compare(t.Device, u.Device), strings.Compare(t.Take, u.Take))
}

// ArchiveStats counts what the archive holds and what happened to it.
type ArchiveStats struct {
	Takes      int    `json:"takes"`
	Ended      int    `json:"ended"`      // takes that are complete
	Pairs      uint64 `json:"pairs"`      // ego samples with at least one exo partner
	Unpaired   uint64 `json:"unpaired"`   // ego samples without
	Duplicates uint64 `json:"duplicates"` // batches that were there already and were not stored again
	Torn       uint64 `json:"torn"`       // half-written records that were cut off
}

// takeFile is what is known of a take's file. It is open only while a record is written: a line has thousands of takes.
type takeFile struct {
	end   int64           // of the whole records
	first map[uint64]bool // first sequence numbers that are stored
	ended bool
}

// OpenArchive opens the archive in a directory, which it makes if it is not there, and repairs what a power cut left. An
// archive that another process has open, and a damaged one, are errors. The caller closes it.
func OpenArchive(dir string) (*Archive, error) {
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	a := &Archive{dir: dir, lock: lock, takes: map[TakeID]*takeFile{}}
	ids, err := listTakes(dir)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	for _, id := range ids {
		if err := a.load(id); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %s: %w", ErrArchive, id.path(dir), err), a.Close())
		}
	}
	return a, nil
}

// lockDir makes sure that no other process writes into the archive: it would take our records for torn ones.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another trainer has it open; stop that one, or give this one a store of its own")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), f.Close())
	}
	return f, nil
}

// listTakes returns the takes of the archive in a directory, sorted by device and take.
func listTakes(dir string) ([]TakeID, error) {
	takes, err := pairfile.Dir(dir).Takes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	ids := make([]TakeID, len(takes))
	for i, t := range takes {
		ids[i] = TakeID{t.Device, t.Name}
	}
	return ids, nil
}

func (t TakeID) file() pairfile.Take { return pairfile.Take{Device: t.Device, Name: t.Take} }

func (t TakeID) path(dir string) string { return pairfile.Dir(dir).Path(t.file()) }

// readTake calls fn with each batch in a take's file in the order of sequence numbers. end is where the whole records
// end; -1 reads as far as they reach now, beside a process that writes.
func readTake(dir string, id TakeID, end int64, fn func(*wire.PairBatch) error) error {
	var stopped error // by fn, whose errors are its own
	call := func(b *wire.PairBatch) error {
		stopped = fn(b)
		return stopped
	}
	read := pairfile.Dir(dir).Read
	if end >= 0 {
		read = func(t pairfile.Take, fn func(*wire.PairBatch) error) error {
			return pairfile.Dir(dir).ReadTo(t, end, fn)
		}
	}
	if err := read(id.file(), call); err != nil && stopped == nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	return stopped
}

// load reads what a take's file holds, and cuts off a record that was not finished.
func (a *Archive) load(id TakeID) (err error) {
	f, err := os.OpenFile(id.path(a.dir), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t := &takeFile{first: map[uint64]bool{}}
	var stats ArchiveStats
	t.end, err = pairfile.Scan(f, info.Size(), func(at int64, b *wire.PairBatch) error {
		t.note(b)
		stats.count(b)
		return id.file().Check(at, b)
	})
	if errors.Is(err, pairfile.ErrTorn) {
		a.stats.Torn++
		err = errors.Join(f.Truncate(t.end), f.Sync())
	}
	if err == nil {
		a.keep(id, t, stats)
	}
	return err
}

// keep adds a take's file to those that are known.
func (a *Archive) keep(id TakeID, t *takeFile, stats ArchiveStats) {
	a.takes[id] = t
	a.stats.Takes++
	a.stats.Pairs += stats.Pairs
	a.stats.Unpaired += stats.Unpaired
	if t.ended {
		a.stats.Ended++
	}
}

func (t *takeFile) note(b *wire.PairBatch) {
	t.first[b.Ego.FirstSeq] = true
	t.ended = t.ended || b.Last
}

func (s *ArchiveStats) count(b *wire.PairBatch) {
	for i := range b.Ego.Len() {
		if slices.ContainsFunc(b.Exo, func(x *wire.ExoTrack) bool { return matched(x, i) }) {
			s.Pairs++
		} else {
			s.Unpaired++
		}
	}
}

// matched reports whether ego sample i has a partner in the track that is good enough to teach.
func matched(x *wire.ExoTrack, i int) bool {
	return x.Index[i] >= 0 && x.Grade[i] != wire.Grade_GRADE_REJECTED
}

// Add stores a batch durably. A batch whose take and first sequence number are stored already is a resend: it is counted
// and not stored again. stored tells which it was. After an error nothing of the batch is there.
func (a *Archive) Add(b *wire.PairBatch) (stored bool, err error) {
	payload, err := wire.Encode(b)
	if err != nil {
		return false, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lock == nil {
		return false, fmt.Errorf("%w: %s is closed", ErrArchive, a.dir)
	}
	id := TakeID{b.Ego.Device, b.Ego.Take}
	t, known := a.takes[id]
	if known && t.first[b.Ego.FirstSeq] {
		a.stats.Duplicates++
		return false, nil
	}
	if !known {
		t = &takeFile{first: map[uint64]bool{}}
	}
	if err := t.append(id.path(a.dir), payload); err != nil {
		return false, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	if !known {
		a.keep(id, t, ArchiveStats{})
	}
	if b.Last && !t.ended {
		a.stats.Ended++
	}
	t.note(b)
	a.stats.count(b)
	return true, nil
}

// append writes a record durably to the file, which it makes for the first, or leaves the file as it was.
func (t *takeFile) append(path string, payload []byte) (err error) {
	record := pairfile.AppendRecord(nil, payload)
	flags := os.O_WRONLY
	if t.end == 0 {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		flags |= os.O_CREATE
		record = append([]byte(pairfile.Header), record...)
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(record, t.end)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		// A full disk must not leave half a record. Should even this fail, the next record overwrites it.
		return errors.Join(err, f.Truncate(t.end), f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	if t.end == 0 {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	t.end += int64(len(record))
	return nil
}

// makeDir makes a directory durably, unless it is there.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
	slices.SortFunc(ids, TakeID.compare)
	return ids
}

// Batches returns how many batches of a take are stored.
func (a *Archive) Batches(id TakeID) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.takes[id]; t != nil {
		return len(t.first)
	}
	return 0
}

// Read calls fn with each batch of a take in the order of sequence numbers, one at a time. Batches that are added
// meanwhile are not among them.
func (a *Archive) Read(id TakeID, fn func(*wire.PairBatch) error) error {
	a.mu.Lock()
	t, ok := a.takes[id]
	var end int64
	if ok {
		end = t.end
	}
	a.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %s holds no take %s", ErrArchive, a.dir, id)
	}
	return readTake(a.dir, id, end, fn)
}

// Close gives the archive up. Closing again does nothing.
func (a *Archive) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lock == nil {
		return nil
	}
	err := a.lock.Close() // which unlocks it
	a.lock = nil
	return err
}

package compare

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"tandem/tas"
)

// Result is one measurement, a line of a results file.
type Result struct {
	Data   string     `json:"data"`
	Recipe string     `json:"recipe"`
	Method string     `json:"method"`
	Seed   uint64     `json:"seed"`
	Fold   string     `json:"fold"`
	Jitter float64    `json:"jitter"`
	Pairs  float64    `json:"pairs"`
	Scores tas.Scores `json:"scores"`
	// Exo are the student's scores on the exo side of the test takes; nil where it can't read that, for the teacher, and in
	// results of before they were measured.
	Exo *tas.Scores `json:"exo,omitempty"`
	// Hold is the label hold that the student was scored with, in frames.
	Hold int `json:"hold,omitempty"`
	// OffsetError is the mean distance of the estimated offsets from the injected ones in frames; nil where a method
	// doesn't estimate any.
	OffsetError *float64 `json:"offset_error,omitempty"`
	// NotApplicable is why the method can't be applied to this data set.
	NotApplicable string  `json:"not_applicable,omitempty"`
	Seconds       float64 `json:"seconds"`
}

// key is what a result is the result of.
type key struct {
	data, recipe, method string
	seed                 uint64
	fold                 string
	jitter, pairs        float64
}

func (r Result) key() key {
	return key{r.Data, r.Recipe, r.Method, r.Seed, r.Fold, r.Jitter, r.Pairs}
}

// Store keeps results in a file of JSON lines, so that a comparison that was interrupted goes on where it was. It may be
// used by several goroutines.
type Store struct {
	mu   sync.Mutex
	have map[key]Result
	file *os.File // nil keeps results in memory only
}

// OpenStore opens a results file, which need not exist; "" keeps results in memory. A last line that was cut off by an
// interruption is taken away; any other line that is no result is an error. One process at a time has a file open. The
// caller closes the store.
func OpenStore(path string) (*Store, error) {
	s := &Store{have: map[key]Result{}}
	if path == "" {
		return s, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	s.file = f
	if err := s.load(path); err != nil {
		return nil, errors.Join(fmt.Errorf("results: %w", err), f.Close())
	}
	return s, nil
}

// load locks the file, reads it and leaves it open behind its last whole line.
func (s *Store) load(path string) error {
	err := unix.Flock(int(s.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errors.New("another comparison writes to it; wait for that one, or name another file")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	content, err := io.ReadAll(s.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(content, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(content[:whole]))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var r Result
		err := json.Unmarshal(lines.Bytes(), &r)
		if err == nil && r.Method == "" {
			err = errors.New("no method")
		}
		if err != nil {
			return fmt.Errorf("%s, line %d is no result (take the file away or name another): %w", path, n, err)
		}
		s.have[r.key()] = r
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := s.file.Truncate(int64(whole)); err != nil {
		return err
	}
	_, err = s.file.Seek(int64(whole), io.SeekStart)
	return err
}

func (s *Store) get(k key) (Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.have[k]
	return r, ok
}

// put adds a result and brings it to the disk.
func (s *Store) put(r Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have[r.key()] = r
	if s.file == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return s.file.Sync()
}

// Close closes the file.
func (s *Store) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

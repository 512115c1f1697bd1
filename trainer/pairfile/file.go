package pairfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"tandem/stream/wire"
)

// File is a take's file that is open for reading its records again, in any order. What is appended meanwhile is not seen.
type File struct {
	take Take
	path string
	f    *os.File
	end  int64
	torn bool
}

// Open opens a take's file and calls fn with each whole record in the order of the file, and with the byte at which it
// begins. Damage is an error that names the file and the byte. The caller closes the file.
func (d Dir) Open(t Take, fn func(at int64, b *wire.PairBatch) error) (_ *File, err error) {
	path := d.Path(t)
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the file
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	x := &File{take: t, path: path, f: f}
	if info.Size() == 0 {
		return x, nil
	}
	x.end, err = Scan(f, info.Size(), func(at int64, b *wire.PairBatch) error {
		err := t.Check(at, b)
		if err == nil {
			err = fn(at, b)
		}
		return err
	})
	if x.torn = errors.Is(err, ErrTorn); err != nil && !x.torn {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return x, nil
}

// Torn reports whether the file ends in the beginning of a record, which is not read.
func (x *File) Torn() bool { return x.torn }

// Read reads the record at a byte at which one begins.
func (x *File) Read(at int64) (*wire.PairBatch, error) {
	b, err := readRecord(x.f, at)
	if err == nil {
		err = x.take.Check(at, b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.path, err)
	}
	return b, nil
}

// CopyTo makes a copy of the whole records in another directory, byte for byte and durably.
func (x *File) CopyTo(d Dir) (err error) {
	path := d.Path(x.take)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err // names the file
	}
	_, err = io.Copy(f, io.NewSectionReader(x.f, 0, x.end))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Close closes the file.
func (x *File) Close() error { return x.f.Close() }

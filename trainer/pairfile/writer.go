package pairfile

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"

	"tandem/stream/wire"
)

// Writer writes a take's file from the beginning. A file that must not be seen half-written is written into a directory
// that gets its name in the end.
type Writer struct {
	take   Take
	f      *os.File
	out    *bufio.Writer
	record []byte
	at     int64
}

// Create makes a take's file, which must not be there. The caller closes it.
func (d Dir) Create(t Take) (*Writer, error) {
	path := d.Path(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err // names the file
	}
	return &Writer{take: t, f: f, out: bufio.NewWriterSize(f, 1<<18)}, nil
}

// Add appends a batch. It keeps nothing of it.
func (w *Writer) Add(b *wire.PairBatch) error {
	if err := w.take.Check(w.at, b); err != nil {
		return err
	}
	payload, err := wire.Encode(b)
	if err != nil {
		return err
	}
	w.record = w.record[:0]
	if w.at == 0 {
		w.record = append(w.record, Header...)
	}
	w.record = AppendRecord(w.record, payload)
	n, err := w.out.Write(w.record)
	w.at += int64(n)
	return err
}

// Close ends the file durably. Its directory is the caller's.
func (w *Writer) Close() error {
	err := w.out.Flush()
	if err == nil {
		err = w.f.Sync()
	}
	return errors.Join(err, w.f.Close())
}

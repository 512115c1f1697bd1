package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// Teacher reads what SetTeacher stored into v. It reports false if the line has no teacher yet.
func (b *Board) Teacher(ctx context.Context, v any) (bool, error) {
	e, err := b.kv.Get(ctx, b.teacherKey())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(e.Value(), v)
	}
	if err != nil {
		return false, fmt.Errorf("teacher of line %s: %w", b.cfg.Line, err)
	}
	return true, nil
}

// SetTeacher makes v what all of the line's trainers know as its teacher.
func (b *Board) SetTeacher(ctx context.Context, v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = b.kv.Put(ctx, b.teacherKey(), data)
	}
	if err != nil {
		return fmt.Errorf("teacher of line %s: %w", b.cfg.Line, err)
	}
	return nil
}

// NextNumber returns a number for a release that no other process of the line gets.
func (b *Board) NextNumber(ctx context.Context) (int, error) {
	for {
		n, revision := 0, uint64(0)
		e, err := b.kv.Get(ctx, b.namesKey())
		switch {
		case err == nil:
			revision = e.Revision()
			if n, err = strconv.Atoi(string(e.Value())); err != nil {
				return 0, fmt.Errorf("number of a release: key %s: %w", b.namesKey(), err)
			}
		case !errors.Is(err, jetstream.ErrKeyNotFound):
			return 0, fmt.Errorf("number of a release: %w", err)
		}
		n++
		_, err = b.swap(ctx, b.namesKey(), strconv.AppendInt(nil, int64(n), 10), revision)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, ErrLost) {
			return 0, fmt.Errorf("number of a release: %w", err)
		}
	}
}

// PutFile stores a file at the hub, beside the releases, under a name that is none of theirs.
func (b *Board) PutFile(ctx context.Context, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err // names the file
	}
	defer f.Close() //nolint:errcheck // only read
	if _, err := b.files.Put(ctx, jetstream.ObjectMeta{Name: name, Description: "checkpoint of a network"}, f); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return nil
}

// GetFile fetches a file that PutFile stored. It is at path only when it is whole; the library checks its digest.
func (b *Board) GetFile(ctx context.Context, name, path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, ".fetch-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // a leftover is fetched over the next time
	file := filepath.Join(tmp, "file")
	if err := b.files.GetFile(ctx, name, file); err != nil {
		return fmt.Errorf("fetch %s: %w", name, err)
	}
	return os.Rename(file, path)
}

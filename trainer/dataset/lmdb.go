package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/PowerDNS/lmdb-go/lmdb"
)

// frameStore is an LMDB database of per-frame features: TAKE/VIEW/VIEW_%010d.jpg -> float32 little-endian. It is mapped
// into memory by the operating system. Values are copied: Txn.RawRead touches where a value begins even if it is empty, which
// for one at the end of the file lies beyond it and ends the process. Its methods may be called by several goroutines.
type frameStore struct {
	path string
	env  *lmdb.Env
	db   lmdb.DBI
}

// openFrameStore opens a database that nobody writes to: a directory with data.mdb, or a single file.
func openFrameStore(path string) (_ *frameStore, err error) {
	flags := uint(lmdb.Readonly | lmdb.NoLock)
	if isFile(path) {
		flags |= lmdb.NoSubdir
	} else if file := filepath.Join(path, "data.mdb"); !isFile(file) {
		return nil, fmt.Errorf("%s is missing, expected the file of an LMDB database", file)
	}
	env, err := lmdb.NewEnv()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", path, err), env.Close())
		}
	}()
	if err := env.Open(path, flags, 0); err != nil {
		return nil, err
	}
	s := &frameStore{path: path, env: env}
	return s, env.View(func(txn *lmdb.Txn) (err error) {
		s.db, err = txn.OpenRoot(0)
		return err
	})
}

func (s *frameStore) close() error { return s.env.Close() }

func frameKey(take, view string, frame int) string {
	return fmt.Sprintf("%s/%s/%s_%010d.jpg", take, view, view, frame)
}

// frames returns the numbers of a take's first frame and of the one after its last; false if the take is not there.
func (s *frameStore) frames(take, view string) (first, end int, ok bool, err error) {
	prefix := take + "/" + view + "/" + view + "_"
	err = s.env.View(func(txn *lmdb.Txn) (err error) {
		cursor, err := txn.OpenCursor(s.db)
		if err != nil {
			return err
		}
		defer cursor.Close()
		key, _, err := cursor.Get([]byte(prefix), nil, lmdb.SetRange)
		if lmdb.IsNotFound(err) || err == nil && !strings.HasPrefix(string(key), prefix) {
			return nil
		}
		if err != nil {
			return err
		}
		if first, err = frameOf(string(key), prefix); err != nil {
			return err
		}
		// The last key of the prefix stands before the first that is greater than all of them.
		_, _, err = cursor.Get([]byte(prefix+"\xff"), nil, lmdb.SetRange)
		op := uint(lmdb.Prev)
		if lmdb.IsNotFound(err) {
			op = lmdb.Last
		} else if err != nil {
			return err
		}
		if key, _, err = cursor.Get(nil, nil, op); err != nil {
			return err
		}
		last, err := frameOf(string(key), prefix)
		end, ok = last+1, true
		return err
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", s.path, err)
	}
	return first, end, ok, err
}

// frameOf reads the number at the end of a key.
func frameOf(key, prefix string) (int, error) {
	text, ok := strings.CutPrefix(key, prefix)
	if ok {
		text, ok = strings.CutSuffix(text, ".jpg")
	}
	n, err := strconv.ParseUint(text, 10, 63) // which takes digits only
	if !ok || err != nil || len(text) != 10 {
		return 0, fmt.Errorf("the key is %.200q, expected TAKE/VIEW/VIEW_ and ten digits and .jpg", key)
	}
	return int(n), nil
}

// dim returns the number of features of a frame.
func (s *frameStore) dim(take, view string, frame int) (n int, err error) {
	err = s.env.View(func(txn *lmdb.Txn) error {
		data, err := s.get(txn, take, view, frame)
		n = len(data) / 4
		return err
	})
	return n, err
}

// read reads frames from first on into dst, frame after frame of dim features.
func (s *frameStore) read(take, view string, first, dim int, dst []float32) error {
	return s.env.View(func(txn *lmdb.Txn) error {
		for i := range len(dst) / dim {
			data, err := s.get(txn, take, view, first+i)
			if err != nil {
				return err
			}
			if len(data) != 4*dim {
				return fmt.Errorf("frame %d has %d bytes, expected %d float32", first+i, len(data), dim)
			}
			row := dst[i*dim : (i+1)*dim]
			for k := range row {
				row[k] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*k:]))
			}
		}
		return nil
	})
}

// get returns the bytes of a frame.
func (s *frameStore) get(txn *lmdb.Txn, take, view string, frame int) ([]byte, error) {
	key := frameKey(take, view, frame)
	data, err := txn.Get(s.db, []byte(key))
	if lmdb.IsNotFound(err) {
		return nil, fmt.Errorf("frame %d is missing: there is no key %s", frame, key)
	}
	if err == nil && (len(data) == 0 || len(data)%4 != 0) {
		err = fmt.Errorf("frame %d has %d bytes, expected float32 numbers", frame, len(data))
	}
	return data, err
}

package bundle

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
)

// MaxPacked bounds the unpacked size of a bundle, so that a wrong or hostile one cannot fill a device's disk.
const MaxPacked = 4 << 30

// Pack writes the bundle as a zstd-compressed tar: the manifest and the files that it names, nothing else that may lie
// in the directory. The same bundle gives the same bytes.
func (d *Dir) Pack(w io.Writer) error {
	// One encoder thread: several would make the bytes depend on the machine.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("pack bundle %s: %w", d.Path, err)
	}
	t := tar.NewWriter(z)
	err = d.packFile(t, ManifestFile)
	for _, f := range d.files() {
		if err == nil {
			err = d.packFile(t, f.Name)
		}
	}
	if err == nil {
		err = t.Close()
	}
	if e := z.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("pack bundle %s: %w", d.Path, err)
	}
	return nil
}

func (d *Dir) packFile(t *tar.Writer, name string) error {
	f, err := os.Open(filepath.Join(d.Path, name))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: st.Size(), Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// Unpack writes the bundle that Pack made into the directory dir, which must not exist, and checks it as Read does. On
// any error nothing is left behind.
func Unpack(r io.Reader, dir string) (*Dir, error) {
	if _, err := os.Stat(dir); err == nil {
		return nil, fmt.Errorf("unpack bundle: %s exists already", dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("unpack bundle: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".bundle-*")
	if err != nil {
		return nil, fmt.Errorf("unpack bundle: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // nothing is left there once it has been renamed
	if err := unpack(r, tmp); err != nil {
		return nil, fmt.Errorf("unpack bundle: %w", err)
	}
	d, err := Read(tmp)
	if err != nil {
		return nil, fmt.Errorf("unpack bundle: %w", err)
	}
	if err := commit(tmp, dir); err != nil {
		return nil, fmt.Errorf("unpack bundle: %w", err)
	}
	d.Path = dir
	return d, nil
}

func unpack(r io.Reader, dir string) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer z.Close()
	t := tar.NewReader(io.LimitReader(z, MaxPacked))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: not a packed bundle: %w", ErrInvalid, err)
		}
		if h.Typeflag != tar.TypeReg || h.Name == "" || h.Name != filepath.Base(h.Name) || h.Name == "." || h.Name == ".." {
			return fmt.Errorf("%w: the archive holds %q (type %q), expected plain files only", ErrInvalid, h.Name, h.Typeflag)
		}
		f, err := os.OpenFile(filepath.Join(dir, h.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, t)
		if err == nil {
			err = f.Sync()
		}
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

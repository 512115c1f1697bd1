package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Parts are the files of a bundle that is being written.
type Parts struct {
	Extractor []byte // ONNX
	Segmenter []byte // ONNX
	Golden    []byte // see runtime/model
}

// Write makes a bundle in the directory dir, which must not exist, from a manifest whose file names and digests it fills
// in. The directory appears whole or not at all.
func Write(dir string, m Manifest, p Parts) (_ *Dir, err error) {
	if _, err := os.Stat(dir); err == nil {
		return nil, fmt.Errorf("write bundle: %s exists already", dir)
	}
	m.Schema = Schema
	m.Extractor.File = fileOf(ExtractorFile, p.Extractor)
	m.Segmenter.File = fileOf(SegmenterFile, p.Segmenter)
	m.Golden = fileOf(GoldenFile, p.Golden)
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".bundle-*")
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // nothing is left there once it has been renamed
	for name, data := range map[string][]byte{
		ExtractorFile: p.Extractor, SegmenterFile: p.Segmenter, GoldenFile: p.Golden, ManifestFile: append(manifest, '\n'),
	} {
		if err := writeFile(filepath.Join(tmp, name), data); err != nil {
			return nil, fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := commit(tmp, dir); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return &Dir{Path: dir, Manifest: m}, nil
}

// commit gives a finished temporary directory its name, durably.
func commit(tmp, dir string) error {
	if err := os.Chmod(tmp, 0o755); err != nil { //nolint:gosec // other users of the device may read models
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	defer parent.Close() //nolint:errcheck // only synced
	return parent.Sync()
}

func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func fileOf(name string, data []byte) File {
	sum := sha256.Sum256(data)
	return File{Name: name, SHA256: hex.EncodeToString(sum[:])}
}

func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

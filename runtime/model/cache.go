package model

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tandem/runtime/ort"
)

// Bounds of the cache: a result is believed for so long, a file is no larger, and there are no more files.
const (
	cacheAge   = 24 * time.Hour
	cacheFile  = 64 << 10
	cacheFiles = 64
)

// cacheSchema is the version of the files.
const cacheSchema = 2

// The models of a bundle.
const (
	partExtractor = "extractor"
	partSegmenter = "segmenter"
)

// cacheKey is everything that a result depends on.
type cacheKey struct {
	Bundle   string            `json:"bundle"` // SHA-256 of the manifest without its report, which holds the files' digests
	Machine  string            `json:"machine"`
	Library  string            `json:"library"` // version of ONNX Runtime
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options,omitempty"`
	Threads  int               `json:"threads"`
}

func (k cacheKey) name() string { return digestOf(k)[:32] + ".json" }

// cacheEntry is one file: what came of one provider.
type cacheEntry struct {
	Schema int                    `json:"schema"`
	Key    cacheKey               `json:"key"`
	Parts  map[string]cacheResult `json:"parts"`
	Sum    string                 `json:"sum"` // SHA-256 of the entry without it
}

type cacheResult struct {
	Outcome Outcome   `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	Ns      int64     `json:"ns,omitempty"`
	At      time.Time `json:"at"`
}

func digestOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "" // of strings and numbers alone: it can't fail
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func (t *trial) key(provider string) cacheKey {
	m := t.b.Manifest
	m.Report = nil
	return cacheKey{
		Bundle: digestOf(m), Machine: t.sel.machine(), Library: ort.Version(), Provider: provider,
		Options: t.sel.Options.ProviderOptions[provider], Threads: max(t.sel.Options.Threads, 1),
	}
}

// cache keeps what came of providers in a directory, one file each. It forgets rather than fails: what can't be read is probed
// again, and what can't be written is said in the log.
type cache struct {
	dir string
	log *slog.Logger
	now func() time.Time
}

// get returns what is known of one model on a provider.
func (c *cache) get(key cacheKey, part string) (Attempt, bool) {
	e, ok := c.read(key)
	r, known := e.Parts[part]
	if !ok || !known {
		return Attempt{}, false
	}
	// A rig's clock may stand before the time of its last start.
	if age := c.now().Sub(r.At); age < 0 || age > cacheAge {
		return Attempt{}, false
	}
	return Attempt{Outcome: r.Outcome, Reason: r.Reason, PerRun: time.Duration(r.Ns)}, true
}

func (c *cache) read(key cacheKey) (cacheEntry, bool) {
	if c.dir == "" {
		return cacheEntry{}, false
	}
	path := filepath.Join(c.dir, key.name())
	e, err := readEntry(path)
	if err == nil && digestOf(e.Key) != digestOf(key) {
		err = errors.New("it is about something else")
	}
	if err == nil {
		return e, true
	}
	if !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("a remembered probe can't be used, it is made again", "file", path, "error", err)
	}
	return cacheEntry{}, false
}

func readEntry(path string) (cacheEntry, error) {
	f, err := os.Open(path)
	if err != nil {
		return cacheEntry{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, cacheFile+1))
	if err != nil {
		return cacheEntry{}, err
	}
	return decodeEntry(data)
}

// decodeEntry reads a file of the cache strictly.
func decodeEntry(data []byte) (e cacheEntry, err error) {
	if len(data) > cacheFile {
		return e, fmt.Errorf("more than %d bytes", cacheFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return e, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return e, errors.New("something stands after the end")
	}
	if e.Schema != cacheSchema {
		return e, fmt.Errorf("schema is %d, expected %d", e.Schema, cacheSchema)
	}
	sum := e.Sum
	if e.Sum = ""; digestOf(e) != sum {
		return e, errors.New("its checksum does not fit")
	}
	for name, r := range e.Parts {
		right := r.Outcome == Right || r.Outcome == Slow
		bad := r.Outcome == Wrong || r.Outcome == Failed
		switch {
		case name != partExtractor && name != partSegmenter:
			return e, fmt.Errorf("part %q, expected %s or %s", name, partExtractor, partSegmenter)
		case !right && !bad:
			return e, fmt.Errorf("outcome %q of the %s", r.Outcome, name)
		case right && r.Ns <= 0 || bad && (r.Reason == "" || r.Ns < 0):
			return e, fmt.Errorf("the %s is %s with %d ns and the reason %q", name, r.Outcome, r.Ns, r.Reason)
		}
	}
	return e, nil
}

// put remembers what came of one model on a provider.
func (c *cache) put(key cacheKey, part string, a Attempt) {
	if c.dir == "" {
		return
	}
	e, ok := c.read(key)
	if !ok {
		e = cacheEntry{Schema: cacheSchema, Key: key, Parts: map[string]cacheResult{}}
	}
	e.Parts[part] = cacheResult{Outcome: a.Outcome, Reason: a.Reason, Ns: int64(a.PerRun), At: c.now().UTC()}
	e.Sum = ""
	e.Sum = digestOf(e)
	if err := c.write(key.name(), e); err != nil {
		c.log.Warn("a probe can't be remembered, it will be made again", "directory", c.dir, "error", err)
	}
}

func (c *cache) write(name string, e cacheEntry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o755); err != nil { //nolint:gosec // other users of the device may read it
		return err
	}
	f, err := os.CreateTemp(c.dir, ".probe-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is not there any more once it has been renamed
	_, err = f.Write(append(data, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(c.dir, name)); err != nil {
		return err
	}
	c.prune(name)
	d, err := os.Open(c.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// prune removes the oldest files beyond cacheFiles, and what a process that was killed has left, but never the one just written.
func (c *cache) prune(keep string) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	type file struct {
		name string
		at   time.Time
	}
	var files []file
	for _, e := range entries {
		info, err := e.Info()
		ours := strings.HasSuffix(e.Name(), ".json") || strings.HasPrefix(e.Name(), ".probe-")
		if err != nil || !ours || e.Name() == keep {
			continue
		}
		files = append(files, file{e.Name(), info.ModTime()})
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.name, b.name)) })
	for _, f := range files[min(cacheFiles-1, len(files)):] {
		_ = os.Remove(filepath.Join(c.dir, f.name)) // the next one tries again
	}
}

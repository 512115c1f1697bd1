package model

import (
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// Fakes are what tests put in the place of hardware.
type Fakes struct {
	OpenExtractor func(*bundle.Dir, ort.Options) (*feature.Extractor, error)
	OpenSegmenter func(*bundle.Dir, ort.Options) (*segment.Segmenter, error)
	Now           func() time.Time
	Machine       func() string
}

// Fake gives a selector fakes.
func (s *Selector) Fake(f Fakes) {
	s.openExtractor, s.openSegmenter, s.now, s.machine = f.OpenExtractor, f.OpenSegmenter, f.Now, f.Machine
}

// DecodeCache reads a file of the cache.
func DecodeCache(data []byte) error {
	_, err := decodeEntry(data)
	return err
}

// Len is how many bundles are loaded.
func (s *Shelf) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items)
}

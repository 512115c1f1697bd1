package vision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/stream/frame"
	"tandem/tas"
)

// Frames are labelled pictures at an extractor's input size, as bytes in a file that is gone when they are closed: a data
// set's pictures are never in memory. Reading is safe for concurrent use.
type Frames struct {
	Classes []int    // of each picture
	Takes   []string // of the recordings, without repetition

	file *os.File
	size int
}

// Recording is a labelled video, such as a trainer.Recording.
type Recording interface {
	// Names are the take's, and with the camera's the recording's.
	Names() (take, recording string)
	// EachFrame visits frames at a rate, with their classes.
	EachFrame(ctx context.Context, rate float64, classes tas.Labels, visit func(f *frame.Frame, class int) error) error
}

// ReadFrames reads the pictures of recordings at a rate, of [Height, Width] as the contract says. A recording with fewer
// than two pictures, and none at all, are errors. The caller closes the frames.
func ReadFrames[R Recording](ctx context.Context, list []R, contract bundle.Extractor, rate float64, classes tas.Labels,
	progress func(done int, name string)) (_ *Frames, err error) {
	px, err := feature.NewPixels(contract)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, px.Close()) }()
	file, err := os.CreateTemp("", "tandem-frames-*")
	if err != nil {
		return nil, fmt.Errorf("cache pictures: %w", err)
	}
	f := &Frames{file: file, size: px.Size()}
	// The file has no name any more: whatever happens, the disk gets its room back.
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	row := make([]byte, f.size)
	for i, r := range list {
		before := len(f.Classes)
		take, name := r.Names()
		err := r.EachFrame(ctx, rate, classes, func(shot *frame.Frame, class int) error {
			if err := px.Read(shot.Mat, row); err != nil {
				return fmt.Errorf("%s, frame %d: %w", name, shot.Index, err)
			}
			if _, err := file.WriteAt(row, int64(len(f.Classes))*int64(f.size)); err != nil {
				return fmt.Errorf("cache pictures: %w", err)
			}
			f.Classes = append(f.Classes, class)
			return nil
		})
		if err == nil && len(f.Classes) < before+2 {
			err = fmt.Errorf("%s: %d pictures at %g a second, expected at least 2; is it a video?", name, len(f.Classes)-before, rate)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if !slices.Contains(f.Takes, take) {
			f.Takes = append(f.Takes, take)
		}
		if progress != nil {
			progress(i+1, name)
		}
	}
	if len(f.Classes) == 0 {
		return nil, errors.Join(errors.New("there are no recordings to read pictures of"), f.Close())
	}
	return f, nil
}

// Len returns the number of pictures.
func (f *Frames) Len() int { return len(f.Classes) }

// Size returns the number of bytes of a picture.
func (f *Frames) Size() int { return f.size }

// Read reads picture i, channels first, into dst.
func (f *Frames) Read(i int, dst []byte) error {
	if _, err := f.file.ReadAt(dst[:f.size], int64(i)*int64(f.size)); err != nil {
		return fmt.Errorf("read cached picture %d: %w", i, err)
	}
	return nil
}

// Close frees the disk.
func (f *Frames) Close() error { return f.file.Close() }

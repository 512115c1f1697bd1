package dataset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/trainer/backbone"
	"tandem/trainer/dataset/npy"
)

// Pictures in Tandem's own layout: what the extractor of the features saw, for methods that train it.
//
//	frames_VIEW/TAKE.npy   uint8 [T, C, H, W], brought to the extractor's input, before its normalisation
//	extractor/             the extractor (package backbone)
const (
	framesDir    = "frames"
	extractorDir = "extractor"
)

// ErrNoPictures is wrapped by the error about a view without pictures.
var ErrNoPictures = errors.New("there are no pictures")

// Pictures are the pictures of a take's view, by sample. They may be read by several goroutines and hold nothing open.
type Pictures struct {
	path    string
	samples int
	size    int
	stride  int // stored pictures a sample
}

// Len returns the number of samples.
func (p *Pictures) Len() int { return p.samples }

// Size returns the number of bytes of a picture.
func (p *Pictures) Size() int { return p.size }

// Read reads the picture of sample t into dst, which has length Size: [C, H, W] bytes.
func (p *Pictures) Read(t int, dst []byte) (err error) {
	if t < 0 || t >= p.samples || len(dst) != p.size {
		return fmt.Errorf("%s: picture %d of %d into %d bytes, expected %d", p.path, t, p.samples, len(dst), p.size)
	}
	f, err := npy.Open(p.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Bytes(int64(t)*int64(p.stride)*int64(p.size), dst); err != nil {
		return fmt.Errorf("%s: picture %d: %w", p.path, t, err)
	}
	return nil
}

// Pictures returns the pictures of the take's view. The error about a view that comes without wraps ErrNoPictures.
func (t *Take) Pictures(view string) (*Pictures, error) {
	s := t.set.store
	v, err := s.view(view)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", t.Name, err)
	}
	if s.pictures == nil {
		return nil, fmt.Errorf("take %s: %w of view %s", t.Name, ErrNoPictures, view)
	}
	p, err := s.pictures(t.index, v)
	if err != nil {
		return nil, fmt.Errorf("take %s: %w", t.Name, err)
	}
	p.stride, p.samples = s.group, t.Samples
	return p, nil
}

// Extractor returns the extractor of a data set that has pictures; nil if there is none.
func (d *Dataset) Extractor() *backbone.Backbone { return d.store.backbone }

// pictures opens a take's pictures in Tandem's own layout.
func (x *own) pictures(take, view int) (_ *Pictures, err error) {
	t, v := x.takes[take], x.views[view]
	name := framesDir + "_" + v.Name + "/" + t.name + arrayEnding
	if _, ok := x.manifest.Files[name]; !ok {
		return nil, fmt.Errorf("%w of view %s", ErrNoPictures, v.Name)
	}
	path := filepath.Join(x.root, filepath.FromSlash(name))
	f, err := npy.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := x.backbone.Contract.Input
	want := []int{t.samples, in.Depth(), in.Height, in.Width}
	if f.Type != npy.Uint8 || f.Fortran || len(f.Shape) != 4 || [4]int(f.Shape) != [4]int(want) {
		return nil, fmt.Errorf("%s is of type %s and shape %v, expected %s and %v; import the data set again", path, f.Type, f.Shape, npy.Uint8, want)
	}
	return &Pictures{path: path, size: in.Depth() * in.Height * in.Width}, nil
}

// openBackbone reads the extractor of a data set that has pictures.
func (x *own) openBackbone() error {
	if _, ok := x.manifest.Files[extractorDir+"/"+backbone.File]; !ok {
		return nil
	}
	var err error
	x.backbone, err = backbone.Read(filepath.Join(x.root, extractorDir))
	return err
}

// pictures writes what the extractor sees of the ego view of a take, if the options say so.
func (w *converter) pictures(ctx context.Context, t *Take, v int) (err error) {
	s := w.d.store
	if s.shoot == nil || s.views[v].Role != Ego {
		return nil
	}
	file, err := w.create(framesDir+"_"+s.views[v].Name, t.Name+arrayEnding)
	if err != nil {
		return err
	}
	in := s.backbone.Contract.Input
	out, err := npy.NewWriter(file, npy.Uint8, false, t.Samples, in.Depth(), in.Height, in.Width)
	if err == nil {
		stored := 0
		err = s.shoot(ctx, t.index, v, func(px []byte) error {
			if stored++; (stored-1)%s.group != 0 {
				return nil
			}
			return out.Bytes(px)
		})
	}
	if err == nil {
		err = out.Close()
	}
	return file.close(err)
}

// extractor writes the extractor beside pictures.
func (w *converter) extractor() error {
	s := w.d.store
	if s.shoot == nil {
		return nil
	}
	dir := filepath.Join(w.root, extractorDir)
	if err := s.backbone.Write(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		sum, err := digestFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		w.manifest.Files[extractorDir+"/"+e.Name()] = sum
	}
	return nil
}

// shoot hands over what the extractor sees of each sample of a take's view, in their order.
func (x *simTakes) shoot(ctx context.Context, take, view int, contract bundle.Extractor, emit func(px []byte) error) (err error) {
	t, v := x.list[take], x.views[view]
	c, _ := t.truth.Camera(v.Name)
	frames, _, err := x.pick(t, c)
	if err != nil {
		return err
	}
	px, err := feature.NewPixels(contract)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, px.Close()) }()
	row := make([]byte, px.Size())
	path := filepath.Join(t.dir, c.Video)
	if err := eachFrame(ctx, path, frames, func(m *picture) error {
		if m.new {
			if err := px.Read(m.mat, row); err != nil {
				return err
			}
		}
		return emit(row)
	}); err != nil {
		return fmt.Errorf("pictures of %s: %w", path, err)
	}
	return nil
}

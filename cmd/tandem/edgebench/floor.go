package edgebench

import (
	"context"
	"errors"
	"time"

	"gocv.io/x/gocv"
)

// Bare are the parts of the pipeline for themselves, on this input.
type Bare struct {
	Decode     Speed `json:"decode"`     // OpenCV's VideoCapture.Read
	Preprocess Speed `json:"preprocess"` // of decoded frames
	Extractor  Speed `json:"extractor"`  // Run on tensors that are there
	Segmenter  Speed `json:"segmenter"`
	Models     Speed `json:"models"` // Run of both, one after the other
	// One loop while each other core does the same work: what a core does when all are busy.
	DecodeBusy Speed `json:"decode_all_cores_busy"`
	ModelsBusy Speed `json:"models_all_cores_busy"`
	// The models while one other core decodes.
	ModelsBeside Speed `json:"models_beside_decode"`
}

// kit is everything that is measured in turns: of bare works one for each core.
type kit struct {
	decode, prepare, extract, segment, models []work
	pipelines                                 []*bench
}

func (k *kit) add(in *inputs, list pictures, picture gocv.Mat, features []float32) error {
	opts := in.c.options()
	d, err := newDecoding(in.video.path)
	if err != nil {
		return err
	}
	k.decode = append(k.decode, d)
	p, err := newPreparing(in.rel.dir, list)
	if err != nil {
		return err
	}
	k.prepare = append(k.prepare, p)
	e, err := newExtracting(in.rel.dir, picture, opts)
	if err != nil {
		return err
	}
	k.extract = append(k.extract, e)
	s, err := newSegmenting(in.rel.dir, append([]float32(nil), features...), opts)
	if err != nil {
		return err
	}
	k.segment = append(k.segment, s)
	k.models = append(k.models, both{e, s})
	return nil
}

func (k *kit) close() error {
	return errors.Join(closeAll(k.decode), closeAll(k.prepare), closeAll(k.models), closeAll(k.pipelines))
}

// meters are the meters of the bare works.
type meters struct{ decode, prepare, extract, segment, models, decodeBusy, modelsBusy, modelsBeside meter }

// bareParts is how many there are.
const bareParts = 6

// round measures each bare work once.
func (m *meters) round(ctx context.Context, length time.Duration, k *kit, report func()) error {
	for _, w := range []struct {
		meter *meter
		works []work
	}{
		{&m.decode, k.decode[:1]}, {&m.prepare, k.prepare[:1]}, {&m.extract, k.extract[:1]}, {&m.segment, k.segment[:1]},
		{&m.models, k.models[:1]}, {&m.modelsBeside, []work{k.models[0], k.decode[0]}},
	} {
		if err := w.meter.round(ctx, length, w.works...); err != nil {
			return err
		}
		report()
	}
	return nil
}

// busy measures what the floor is made of.
func (m *meters) busy(ctx context.Context, length time.Duration, k *kit) error {
	if err := m.decodeBusy.round(ctx, length, k.decode...); err != nil {
		return err
	}
	return m.modelsBusy.round(ctx, length, k.models...)
}

// floor is what bare works allow in frames a second, where a share of the frames goes through the models: the slower of decoding and
// models, each on one core while the others are busy. They were measured before and after what is compared with them.
func (m *meters) floor(share float64) float64 {
	mean := func(list []float64) float64 { return (list[len(list)-1] + list[len(list)-2]) / 2 }
	return min(mean(m.decodeBusy.rates), mean(m.modelsBusy.rates)/share)
}

func (m *meters) summary() Bare {
	return Bare{
		Decode: m.decode.speed(), Preprocess: m.prepare.speed(), Extractor: m.extract.speed(), Segmenter: m.segment.speed(),
		Models: m.models.speed(), DecodeBusy: m.decodeBusy.speed(), ModelsBusy: m.modelsBusy.speed(), ModelsBeside: m.modelsBeside.speed(),
	}
}

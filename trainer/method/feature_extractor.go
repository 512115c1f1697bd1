package method

import (
	"context"
	"errors"
	"fmt"

	"tandem/learn/train"
	"tandem/trainer/backbone"
	"tandem/trainer/vision"
)

// featureExtractor is distillation at the feature level without an adapter (Quattrocchi et al., ECCV 2024, section 4): the
// student's own extractor f starts as the exo cameras' and is regressed to the exo features z of the same instant,
//
//	L = mean over frames of ‖ f(I_t) - z_t ‖² / D
//
// with I_t the ego picture and z_t the mean over the exo cameras; the teacher reads what comes out. It needs the ego
// pictures, not only their features.
//
// Defaults: an epoch is eyeSteps steps of eyeBatch pictures, drawn from all pairs in a random order, since neighbouring
// pictures say almost the same; a lighter augmentation than the extractor was trained with; the options' decay and average, and
// eyeRate times their learning rate: on three held-out pairs of the simulated cell the agreement with the teacher at 1, 4 and 10
// times was 37, 53 and 56 (mean of MoF, Edit, F1@50). The extractor has batch normalisation, whose statistics become those of the ego pictures.
func featureExtractor() Method {
	return Method{
		Name: "feature-extractor", Summary: "the student's own extractor regressed to exo features", Source: "Quattrocchi et al., ECCV 2024, section 4",
		alike: true,
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			from, err := p.extractor()
			if err != nil {
				return nil, err
			}
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			m := o.model(p, teacher.net, teacher.Params.Clone())
			m.eyes, err = o.follows(ctx, from, lessons, choose)
			return m, err
		},
	}
}

// Size of a step of feature-extractor, steps an epoch, and its learning rate as a multiple of that of sequences.
const (
	eyeBatch = 32
	eyeSteps = 15
	eyeRate  = 10
)

// Frames are the pictures that a sequence's features were made of, and the extractor that made them.
type Frames struct {
	vision.Pictures
	Extractor *backbone.Backbone
}

// NoFramesError says that a method can't be applied, because it trains the extractor and the pictures are not there, or
// the extractor is none that can be trained.
type NoFramesError struct{ Sequence string }

func (e *NoFramesError) Error() string {
	return fmt.Sprintf("no frames: %s comes without pictures or without an extractor that can be trained; import videos with --frames", e.Sequence)
}

// extractor returns the extractor of the pairs' pictures.
func (p Problem) extractor() (*backbone.Backbone, error) {
	for _, list := range [][]Pair{p.Pairs, p.Choose} {
		for _, pair := range list {
			f := pair.Ego.Frames
			switch {
			case f == nil || f.Extractor == nil || f.Extractor.Params == nil:
				return nil, &NoFramesError{pair.Ego.Name}
			case f.Extractor != p.Pairs[0].Ego.Frames.Extractor:
				return nil, fmt.Errorf("the features of %s and %s are of different extractors", pair.Ego.Name, p.Pairs[0].Ego.Name)
			case f.Len() != pair.Ego.Len():
				return nil, fmt.Errorf("%s has %d pictures for %d frames", pair.Ego.Name, f.Len(), pair.Ego.Len())
			case f.Extractor.Contract.Dim != pair.Exo[0].Dim:
				return nil, &WidthError{Ego: f.Extractor.Contract.Dim, Exo: pair.Exo[0].Dim}
			}
		}
	}
	return p.Pairs[0].Ego.Frames.Extractor, nil
}

// follows regresses the extractor to the lessons' exo features.
func (o Options) follows(ctx context.Context, from *backbone.Backbone, lessons, choose []lesson) (*backbone.Backbone, error) {
	const stage = "extractor"
	asked := func(list []lesson) []vision.Lesson {
		out := make([]vision.Lesson, len(list))
		for i, l := range list {
			out[i] = vision.Lesson{Pictures: l.pair.Ego.Frames, Target: l.features(), Weights: l.weights}
		}
		return out
	}
	c := vision.Follow{
		Config: vision.Config{
			Epochs: o.Epochs, Batch: eyeBatch, Rate: eyeRate * o.Rate, Decay: o.Decay, EMA: o.EMA, Seed: o.Seed, Session: o.Session,
			Augment: vision.Augment{Blur: 0.1, Light: 0.15, Noise: 0.03, Turn: 3, Zoom: 0.05, Shift: 0.03},
		},
		Steps: eyeSteps, Choose: asked(choose),
	}
	var progress func(train.Progress)
	if o.Progress != nil {
		progress = func(p train.Progress) { o.Progress(Progress{stage, p.Epoch, p.Epochs, p.Loss}) }
	}
	return vision.Regress(ctx, from, asked(lessons), c, progress)
}

// Extractor returns the model's own extractor, which it reads pictures with; nil if it reads features as they are.
func (m *Model) Extractor() *backbone.Backbone { return m.eyes }

// Reads tells whether the model can judge a sequence: its features are of the right width, and its pictures are there if the
// model has an extractor of its own.
func (m *Model) Reads(s Sequence) bool { return s.Dim == m.Dim() && (m.eyes == nil || s.Frames != nil) }

// openEyes opens the model's own extractor, nil if it has none.
func (m *Model) openEyes() (*vision.Eyes, error) {
	if m.eyes == nil {
		return nil, nil //nolint:nilnil // no extractor is no error
	}
	return vision.Open(m.eyes, m.session)
}

// see replaces a sequence's features by what the model's own extractor makes of its pictures.
func (p *predictor) see(s Sequence) (Sequence, error) {
	if p.eyes == nil {
		return s, nil
	}
	if s.Frames == nil {
		return s, &NoFramesError{s.Name}
	}
	y, err := p.eyes.See(s.Frames)
	if err != nil {
		return s, fmt.Errorf("%s: %w", s.Name, err)
	}
	if len(y) != len(s.Features) {
		return s, fmt.Errorf("%s: %w: %d features of the pictures, %d of the sequence", s.Name, errPictures, len(y), len(s.Features))
	}
	s.Features = y
	return s, nil
}

var errPictures = errors.New("the pictures don't fit")

package method

import (
	"context"

	"tandem/learn/graph"
	"tandem/learn/nn"
)

// tasMSE is distillation at the TAS level as published (Quattrocchi et al., ECCV 2024, section 4): the student starts as
// the teacher and is regressed to its decoder's outputs at the same instant,
//
//	L = mean over outputs s and frames t of ‖ student_s(ego)_t - teacher_s(exo)_t ‖² / classes
//
// on logits, with no regard to the teacher's confidence or to clock errors.
func tasMSE() Method {
	return Method{
		Name: "tas", Summary: "squared error of the decoder's outputs", Source: "Quattrocchi et al., ECCV 2024, section 4",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			o = o.asPublished()
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			s, params, err := o.student(teacher, p.Pairs)
			if err != nil {
				return nil, err
			}
			if err := o.regress(ctx, "tas", teacher, s, params, lessons, choose); err != nil {
				return nil, err
			}
			return o.model(p, s, params), nil
		},
	}
}

// lessons are what the teacher says of the problem's pairs.
func (p Problem) lessons(teacher *Model) (pairs, choose []lesson, err error) {
	if pairs, err = teach(teacher, p.Pairs); err == nil {
		choose, err = teach(teacher, p.Choose)
	}
	return pairs, choose, err
}

// regress trains a student by the squared error of logits.
func (o Options) regress(ctx context.Context, stage string, teacher *Model, s *segmenter, params *nn.Params, lessons, choose []lesson) error {
	return o.follow(ctx, stage, teacher, s, params, lessons, choose,
		func(logits []float32) []float32 { return logits },
		func(b *nn.Build, y, target, w *graph.Tensor) *graph.Tensor { return b.SquaredError(y, target, w) })
}

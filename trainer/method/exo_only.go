package method

import "context"

// exoOnly is the baseline below: the teacher reads ego features as if they were its own (Quattrocchi et al., ECCV 2024,
// section 5). The gap that the other methods close is that between it and ego-oracle.
func exoOnly() Method {
	return Method{
		Name: "exo-only", Summary: "the teacher as it is", Source: "Quattrocchi et al., ECCV 2024, section 5",
		alike: true, pairless: true,
		train: func(_ context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			return o.model(p, teacher.net, teacher.Params.Clone()), nil
		},
	}
}

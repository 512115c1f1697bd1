package method

import "context"

// both is the published combination (Quattrocchi et al., ECCV 2024, section 4): the adapter of feature first, then a
// student that starts as the teacher, reads adapted features and is regressed to the teacher's outputs as in tas.
func both() Method {
	return Method{
		Name: "both", Summary: "feature, then tas on adapted features", Source: "Quattrocchi et al., ECCV 2024, section 4",
		train: func(ctx context.Context, p Problem, teacher *Model, o Options) (*Model, error) {
			o = o.asPublished()
			lessons, choose, err := p.lessons(teacher)
			if err != nil {
				return nil, err
			}
			a, adapter, err := o.adapt(ctx, teacher, lessons, choose)
			if err != nil {
				return nil, err
			}
			if lessons, err = o.adapted(a, adapter, lessons); err != nil {
				return nil, err
			}
			if choose, err = o.adapted(a, adapter, choose); err != nil {
				return nil, err
			}
			pairs := make([]Pair, len(lessons))
			for i, l := range lessons {
				pairs[i] = l.pair
			}
			s, params, err := o.student(teacher, pairs)
			if err != nil {
				return nil, err
			}
			if err := o.regress(ctx, "tas", teacher, s, params, lessons, choose); err != nil {
				return nil, err
			}
			return o.join(p, a, adapter, s, params)
		},
	}
}

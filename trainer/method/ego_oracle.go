package method

import (
	"context"
	"errors"
)

// egoOracle is the baseline above: the network is trained on labelled ego sequences, which nobody has on a line
// (Quattrocchi et al., ECCV 2024, section 5). Cross entropy and 0.15 times the smoothing loss, as the teacher.
func egoOracle() Method {
	return Method{
		Name: "ego-oracle", Summary: "supervised by ego labels", Source: "Quattrocchi et al., ECCV 2024, section 5", oracle: true,
		train: func(ctx context.Context, p Problem, _ *Model, o Options) (*Model, error) {
			if len(p.Oracle.takes) == 0 {
				return nil, errors.New("no labelled ego sequences, expected at least 1")
			}
			for _, l := range p.Oracle.takes {
				if err := l.check(p.Oracle.takes[0].Dim, p.Labels.Len()); err != nil {
					return nil, err
				}
			}
			return o.fromLabels(ctx, "ego-oracle", p, p.Oracle.takes)
		},
	}
}

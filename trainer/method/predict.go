package method

import (
	"errors"
	"fmt"
)

// PredictAll judges each frame of takes as Predict does. It looks at the labels only to see whether they fit.
func (m *Model) PredictAll(takes []Labelled) (_ []Prediction, err error) {
	p, err := m.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	list := make([]Prediction, len(takes))
	for i, l := range takes {
		if err := l.check(m.Dim(), m.Labels.Len()); err != nil {
			return nil, fmt.Errorf("score: %w", err)
		}
		if list[i], err = p.predict(l.Sequence); err != nil {
			return nil, fmt.Errorf("score: %w", err)
		}
	}
	return list, nil
}

// Check returns an error that names what is wrong with the network's description, whatever it reads.
func (n Network) Check() error {
	_, err := n.segmenter(1, 2)
	return err
}

package method

import (
	"errors"
)

// Judge predicts each of several sequences as Predict does, in one session.
func (m *Model) Judge(list []Sequence) (_ []Prediction, err error) {
	p, err := m.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	out := make([]Prediction, len(list))
	for i, s := range list {
		if out[i], err = p.predict(s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Check returns an error that names what is wrong with the network's description, whatever it reads.
func (n Network) Check() error {
	_, err := n.segmenter(1, 2)
	return err
}

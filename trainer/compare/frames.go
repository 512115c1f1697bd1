package compare

import (
	"errors"

	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// frames are the pictures of a take's view, nil where the data set has none.
func (d data) frames(t *dataset.Take, view string) (*method.Frames, error) {
	ex := d.set.Extractor()
	if ex == nil {
		return nil, nil //nolint:nilnil // most data sets have no pictures
	}
	p, err := t.Pictures(view)
	if errors.Is(err, dataset.ErrNoPictures) {
		return nil, nil //nolint:nilnil // nor have the exo views
	}
	if err != nil {
		return nil, err
	}
	return &method.Frames{Pictures: p, Extractor: ex}, nil
}

// notApplicable returns why a method can't be applied to the data, "" if it is another error.
func notApplicable(err error) string {
	var width *method.WidthError
	var frames *method.NoFramesError
	switch {
	case errors.As(err, &width):
		return width.Error()
	case errors.As(err, &frames):
		return frames.Error()
	}
	return ""
}

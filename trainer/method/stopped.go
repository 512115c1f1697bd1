package method

import (
	"errors"

	"tandem/learn/nn"
	"tandem/learn/train"
)

// StoppedError is wrapped by the error of a training that diverged.
type StoppedError struct {
	Stage string // of the method
	// Params are the stage's parameters of the last good step, or of the best epoch where epochs were judged. They are those
	// of the part that was trained, the adapter for instance.
	Params *nn.Params
	Err    error
}

func (e *StoppedError) Error() string { return e.Err.Error() }

func (e *StoppedError) Unwrap() error { return e.Err }

// stopped hands the parameters on with the error that the training diverged.
func stopped(stage string, params *nn.Params, err error) error {
	if diverged := (*train.DivergedError)(nil); !errors.As(err, &diverged) {
		return err
	}
	return &StoppedError{stage, params, err}
}

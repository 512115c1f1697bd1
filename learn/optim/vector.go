package optim

import (
	"errors"
	"fmt"
)

// Range is a half-open range of a flat vector.
type Range struct{ Lo, Hi int }

// Vector is a named part of an optimizer's state.
type Vector struct {
	Name string
	Data []float32
}

var errLength = errors.New("vectors of different lengths")

func lengthError(weights, grads, state []float32) error {
	return fmt.Errorf("%w: %d weights, %d gradients, expected %d", errLength, len(weights), len(grads), len(state))
}

// checkRanges refuses ranges that are not ascending, apart from each other and inside of n elements.
func checkRanges(ranges []Range, n int) error {
	at := 0
	for _, r := range ranges {
		if r.Lo < at || r.Hi < r.Lo || r.Hi > n {
			return fmt.Errorf("decayed range [%d, %d) of %d parameters, expected ascending ranges inside", r.Lo, r.Hi, n)
		}
		at = r.Hi
	}
	return nil
}

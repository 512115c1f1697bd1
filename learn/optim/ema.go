package optim

// EMA is the exponential moving average of a vector (Polyak & Juditsky, SIAM J. Control Optim. 1992, with a window that
// moves). While few values have been seen, the window is shorter, so that the first one does not hold the average back.
type EMA struct {
	average []float32
	decay   float64
	steps   int
}

// emaStart is how slowly the window of an EMA opens: after n updates it keeps at most n/(n+emaStart) of the average.
const emaStart = 10

// NewEMA returns an average that lives in the given vector, which holds the first values. decay in [0, 1) is the share
// that each update keeps.
func NewEMA(average []float32, decay float64) *EMA { return &EMA{average: average, decay: decay} }

// Update moves the average towards values, a vector of the same length. It allocates nothing.
func (e *EMA) Update(values []float32) {
	e.steps++
	n := float64(e.steps)
	approach(e.average, values[:len(e.average)], float32(min(e.decay, n/(n+emaStart))))
}

// Steps returns the number of updates.
func (e *EMA) Steps() int { return e.steps }

// SetSteps sets the number of updates, after the average has been restored.
func (e *EMA) SetSteps(n int) { e.steps = n }

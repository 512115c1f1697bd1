package optim

import "math"

// Schedule gives the learning rate of a step, counted from 0, of total steps.
type Schedule func(step, total int) float64

// Cosine returns the learning rate of a step, counted from 0: a linear warm-up to base over the first warm steps, then
// half a cosine down to floor at the last of total steps (Loshchilov & Hutter, SGDR, ICLR 2017, one period).
func Cosine(base, floor float64, warm, total, step int) float64 {
	if step < warm {
		return warmUp(base, warm, step)
	}
	return floor + (base-floor)*(1+math.Cos(math.Pi*progress(warm, total, step)))/2
}

// CosineSchedule is Cosine as a Schedule.
func CosineSchedule(base, floor float64, warm int) Schedule {
	return func(step, total int) float64 { return Cosine(base, floor, warm, total, step) }
}

// LinearSchedule warms up as Cosine does and then falls in a straight line to floor at the last step.
func LinearSchedule(base, floor float64, warm int) Schedule {
	return func(step, total int) float64 {
		if step < warm {
			return warmUp(base, warm, step)
		}
		return base + (floor-base)*progress(warm, total, step)
	}
}

// StepSchedule warms up as Cosine does and then multiplies the rate by factor every so many steps.
func StepSchedule(base, factor float64, every, warm int) Schedule {
	return func(step, _ int) float64 {
		if step < warm {
			return warmUp(base, warm, step)
		}
		return base * math.Pow(factor, float64((step-warm)/max(every, 1)))
	}
}

// ConstantSchedule always gives the same rate.
func ConstantSchedule(rate float64) Schedule { return func(int, int) float64 { return rate } }

func warmUp(base float64, warm, step int) float64 { return base * float64(step+1) / float64(warm) }

// progress tells how far beyond its warm-up a step is, from 0 to 1 at the last one.
func progress(warm, total, step int) float64 {
	return min(float64(step-warm)/float64(max(total-warm-1, 1)), 1)
}

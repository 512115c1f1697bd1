package dejitter

import "math"

// grid finds the rate of arrivals of which some may be lost, late or doubled: the period near most spacings at which the
// arrivals' phases agree best, as the peak of a periodogram does (Schuster 1898). It returns an instant of the grid near
// the first arrival, the period, and the standard deviation of the noise. False: there is no steady rate.
func grid(at *[learnOver + 1]int64) (origin int64, period, sd float64, ok bool) {
	var gaps [learnOver]float64
	for i := range gaps {
		gaps[i] = float64(at[i+1] - at[i])
	}
	near, ok := rate(gaps[:])
	if !ok {
		return 0, 0, 0, false
	}
	const reach, step = 0.08, 0.0005
	best, phase := 0.0, 0.0
	for off := -reach; off <= reach; off += step {
		p := near * (1 + off)
		var re, im float64
		for _, a := range at {
			s, c := math.Sincos(2 * math.Pi * float64(a-at[0]) / p)
			re, im = re+c, im+s
		}
		if h := math.Hypot(re, im); h > best {
			best, period, phase = h, p, math.Atan2(im, re)
		}
	}
	// Of phases that are noise, agreement is the root of their number; three times that is none of theirs.
	if best < 3*math.Sqrt(float64(len(at))) && best < 0.6*float64(len(at)) {
		return 0, 0, 0, false
	}
	shift := phase / (2 * math.Pi) * period
	sum := 0.0
	for _, a := range at {
		sum += math.Abs(math.Remainder(float64(a-at[0])-shift, period))
	}
	return at[0] + toInt(shift), period, 1.25 * sum / float64(len(at)), true
}

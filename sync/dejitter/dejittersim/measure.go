package dejittersim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"tandem/sync/dejitter"
)

// Targets of the figures.
const (
	TargetP99  = 2e-3 // s, of the stamps' error
	TargetRate = 1e-6 // of the rate's error
	// TargetBeyond is the share of stamps that may be off by more than their bound.
	TargetBeyond = 1e-5
)

// Config says how much is measured. The zero value is the full measurement.
type Config struct {
	Frames   int                   // captured by each camera; 0 is 100,000
	Progress func(done, total int) // may be nil
}

// Report is what was found.
type Report struct {
	Frames  int      `json:"frames"`
	Cameras []Result `json:"cameras"`
}

// Result is a camera's. Errors are in seconds. Error is the stamp minus the instant of capture minus Constant, in amount;
// Constant, the median of that difference, is the typical latency, which stamps cannot tell and calibration takes off.
type Result struct {
	Camera        string  `json:"camera"`
	Frames        int     `json:"frames"` // that arrived
	Constant      float64 `json:"constant"`
	MeanLatency   float64 `json:"mean_latency"` // of single frames, outliers included
	ErrorMedian   float64 `json:"error_median"`
	ErrorP99      float64 `json:"error_p99"`
	ErrorMax      float64 `json:"error_max"`
	RateError     float64 `json:"rate_error"`     // relative, of the rate known at the end
	BeyondBound   int     `json:"beyond_bound"`   // errors larger than the stamp's bound
	SureP99       float64 `json:"sure_p99"`       // of the error of stamps without doubt
	Doubtful      int     `json:"doubtful"`       // stamps whose frame's number is in doubt
	StandardError float64 `json:"standard_error"` // median of those claimed
	Ratio         float64 `json:"ratio"`          // root mean square of error over standard error, where there is no doubt
}

// Cameras returns those that are measured: 30 fps and a skew of 20 ppm, noise of 5 ms, 1 % outliers to 200 ms, 2 % dropped.
func Cameras() []Camera {
	base := Camera{FPS: 30 / (1 + 20e-6), NoiseSD: 5e-3, Outliers: 0.01, OutlierS: 0.2, Drop: 0.02}
	var list []Camera
	for _, noise := range []string{"normal", "exponential"} {
		for _, queue := range []bool{false, true} {
			for _, double := range []float64{0, 0.01} {
				c := base
				c.Name, c.Noise, c.Queue, c.Double = noise, noise, queue, double
				if queue {
					c.Name += ", queue"
				}
				if double > 0 {
					c.Name += ", doubled"
				}
				if queue || double == 0 {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// Measure plays every camera of Cameras once.
func Measure(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Frames == 0 {
		cfg.Frames = 100_000
	}
	list := Cameras()
	r := &Report{Frames: cfg.Frames}
	for i := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		result, err := list[i].play(cfg.Frames, uint64(i))
		if err != nil {
			return nil, fmt.Errorf("camera %s: %w", list[i].Name, err)
		}
		r.Cameras = append(r.Cameras, result)
		if cfg.Progress != nil {
			cfg.Progress(i+1, len(list))
		}
	}
	return r, nil
}

// Missed returns each target that is missed.
func (r *Report) Missed() []string {
	var list []string
	for _, c := range r.Cameras {
		if !(c.ErrorP99 <= TargetP99) {
			list = append(list, fmt.Sprintf("%s: the p99 of the error is %.3f ms, expected at most %g ms", c.Camera, 1e3*c.ErrorP99, 1e3*TargetP99))
		}
		if c.BeyondBound > int(TargetBeyond*float64(c.Frames)) {
			list = append(list, fmt.Sprintf("%s: %d of %d stamps are off by more than their bound, expected at most %g", c.Camera, c.BeyondBound, c.Frames, TargetBeyond))
		}
		// A short run knows its rate less well.
		if most := TargetRate * math.Pow(max(1, 1e5/float64(r.Frames)), 1.5); !(c.RateError <= most) {
			list = append(list, fmt.Sprintf("%s: the rate is off by %.2g, expected at most %.2g", c.Camera, c.RateError, most))
		}
	}
	return list
}

// play stamps n frames.
func (c *Camera) play(n int, seed uint64) (Result, error) {
	d, err := dejitter.New(dejitter.Config{})
	if err != nil {
		return Result{}, err
	}
	list := c.arrivals(n, 1_772_434_800_000_000_000, rand.New(rand.NewPCG(seed, 17)))
	if len(list) == 0 {
		return Result{}, fmt.Errorf("no frame of %d arrived", n)
	}
	stamps, off := make([]dejitter.Stamp, len(list)), make([]float64, len(list))
	for i, a := range list {
		stamps[i] = d.Next(a.at)
		off[i] = float64(stamps[i].Time-a.truth) / 1e9
	}
	r := Result{Camera: c.Name, Frames: len(list), MeanLatency: c.mean(), Constant: quantile(slices.Clone(off), 0.5)}
	var claimed, sure []float64
	sum := 0.0
	for i := range off {
		s := &stamps[i]
		off[i] = math.Abs(off[i] - r.Constant)
		if off[i] > float64(s.Bound())/1e9 {
			r.BeyondBound++
		}
		switch {
		case s.Doubt > 0:
			r.Doubtful++
		case s.Learned:
			claimed = append(claimed, float64(s.Error)/1e9)
			sure = append(sure, off[i])
			x := off[i] * 1e9 / float64(s.Error)
			sum += x * x
		}
	}
	r.ErrorMedian, r.ErrorP99, r.ErrorMax = quantile(off, 0.5), quantile(off, 0.99), quantile(off, 1)
	r.RateError = math.Abs(d.Rate()/c.FPS - 1)
	if len(claimed) > 0 {
		r.SureP99 = quantile(sure, 0.99)
		r.StandardError, r.Ratio = quantile(claimed, 0.5), math.Sqrt(sum/float64(len(claimed)))
	}
	return r, nil
}

// quantile sorts v.
func quantile(v []float64, q float64) float64 {
	slices.Sort(v)
	return v[min(int(q*float64(len(v))), len(v)-1)]
}

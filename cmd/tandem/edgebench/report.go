package edgebench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Report is what was found.
type Report struct {
	Video       Video         `json:"video"`
	Bundle      Release       `json:"bundle"`
	Cores       int           `json:"cores"`
	Cameras     int           `json:"cameras"`
	ONNXRuntime string        `json:"onnxruntime"`
	Bare        Bare          `json:"bare"`
	Pipeline    []Throughput  `json:"pipeline"` // for each frame first, then at the bundle's own rate
	Paced       []Paced       `json:"paced"`
	Allocations []Allocations `json:"allocations"`
	Hours       *Hours        `json:"segmenter_hours,omitempty"`
	Memory      Memory        `json:"memory"` // of this process after the pipeline has run
	Agent       *Agent        `json:"agent,omitempty"`
	Targets     []Target      `json:"targets"`
	Seconds     float64       `json:"seconds"`
}

// Target is what a figure should be.
type Target struct {
	Name  string  `json:"name"`
	Found float64 `json:"found"`
	Want  float64 `json:"want"`
	Least bool    `json:"least"` // it should be at least Want, not at most
	Unit  string  `json:"unit"`
	Met   bool    `json:"met"`
}

func (t Target) String() string {
	relation := "at most"
	if t.Least {
		relation = "at least"
	}
	return fmt.Sprintf("%s is %.4g%s, want %s %.4g%s", t.Name, t.Found, t.Unit, relation, t.Want, t.Unit)
}

// Targets of a rig.
const (
	targetRatio     = 0.95
	targetAllocs    = 0.01  // a frame: none, but for what the system's own work allocates now and then
	targetSegmenter = 1.0   // ms a frame
	targetDrift     = 1.05  // last hour's median by the first's
	targetRSS       = 200.0 // MB
)

// judge compares with the targets.
func (r *Report) judge() {
	add := func(name string, found, want float64, least bool, unit string) {
		met := found <= want
		if least {
			met = found >= want
		}
		r.Targets = append(r.Targets, Target{name, found, want, least, unit, met})
	}
	// As an agent runs the bundle. With each frame a sample there is nothing to spare: decoding and models alone take all of two cores.
	own := r.Pipeline[len(r.Pipeline)-1]
	add(fmt.Sprintf("the pipeline's throughput at %g Hz, of the floor's,", own.RateHz), own.Ratio, targetRatio, true, "")
	for _, a := range r.Allocations {
		if a.Quiet < quietEnough {
			continue
		}
		add(fmt.Sprintf("allocations a frame at %g Hz", a.RateHz), a.PerFrame, targetAllocs, false, "")
	}
	for _, p := range r.Paced {
		if p.Cameras == 1 {
			add(fmt.Sprintf("from capture to provisional label at %g Hz, p99,", p.RateHz), p.Published.P99, 1e3/p.FPS, false, " ms")
		}
	}
	if h := r.Hours; h != nil {
		add("the segmenter's time a frame, median in the last hour,", h.Last.P50, targetSegmenter, false, " ms")
		add(fmt.Sprintf("the segmenter's time in hour %g by that in hour 1", h.Hour), h.Ratio, targetDrift, false, "")
	}
	if a := r.Agent; a != nil {
		add("an ego agent's memory", float64(a.Peak)/1e6, targetRSS, false, " MB")
	}
}

// Missed lists the targets that are missed.
func (r *Report) Missed() []string {
	list := []string{}
	for _, t := range r.Targets {
		if !t.Met {
			list = append(list, t.String())
		}
	}
	return list
}

// Print writes the report as tables.
func (r *Report) Print(out io.Writer) error {
	v, b := r.Video, r.Bundle
	fmt.Fprintf(out, "video: %s, %dx%d at %g fps, %d frames\nbundle: %s, input %s, %d features, %d labels, %g Hz\n\n", v.File, v.Width, v.Height,
		v.FPS, v.Frames, b.Release, b.Input, b.Dim, b.Labels, b.RateHz)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "bare\tframes/s\tp50\tp99\t\n")
	for _, x := range []struct {
		name string
		Speed
	}{
		{"decode", r.Bare.Decode}, {"preprocess", r.Bare.Preprocess}, {"extractor", r.Bare.Extractor}, {"segmenter", r.Bare.Segmenter},
		{"both models", r.Bare.Models}, {"decode, all cores busy", r.Bare.DecodeBusy}, {"models, all cores busy", r.Bare.ModelsBusy},
		{"models beside decode", r.Bare.ModelsBeside},
	} {
		fmt.Fprintf(w, "%s\t%.0f\t%.3f ms\t%.3f ms\t\n", x.name, x.FPS, x.P50, x.P99)
	}
	fmt.Fprint(w, "\npipeline\tcameras\tframes/s\tsamples/s\tfloor\tratio\tprepare p50/p99\textract\tsegment\thand on\tallocations a frame\t\n")
	for i, t := range r.Pipeline {
		allocs := ""
		if i < len(r.Allocations) {
			a := r.Allocations[i]
			allocs = fmt.Sprintf("%.2f with messages", a.Mean)
			if a.Quiet >= quietEnough {
				allocs = fmt.Sprintf("%.3f, %.2f with messages", a.PerFrame, a.Mean)
			}
		}
		fmt.Fprintf(w, "%g Hz\t%d\t%.0f\t%.0f\t%.0f\t%.3f\t%s\t%s\t%s\t%s\t%s\t\n", t.RateHz, t.Cameras, t.FPS, t.Samples, t.Floor, t.Ratio,
			t.Stages.Prepare, t.Stages.Extract, t.Stages.Segment, t.Stages.HandOn, allocs)
	}
	fmt.Fprint(w, "\nat the camera's pace\tcameras\tsamples\tof\tlabel p50/p99\tpublished\tdecode\tlost\t\n")
	for _, p := range r.Paced {
		lost := uint64(0)
		for _, n := range p.Lost {
			lost += n
		}
		fmt.Fprintf(w, "%g fps, %g Hz\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t\n", p.FPS, p.RateHz, p.Cameras, p.Samples, p.Due, p.Label, p.Published, p.Decode, lost)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if h := r.Hours; h != nil {
		fmt.Fprintf(out, "\nsegmenter: %s after an hour, %s after %g hours (%d frames), ratio %.3f; memory grew by %s\n", h.First, h.Last, h.Hour, h.Frames,
			h.Ratio, megabytes(h.Grown))
	}
	fmt.Fprintf(out, "\nmemory: %s (peak %s) of this process with its %d pipelines and the bare models\n", megabytes(r.Memory.RSS), megabytes(r.Memory.Peak), len(r.Pipeline))
	if a := r.Agent; a != nil {
		fmt.Fprintf(out, "ego agent: %s at most, in a process of its own; %d samples, %d batches of pairs\n", megabytes(a.Peak), a.Samples, a.PairBatches)
	}
	fmt.Fprintln(out)
	for _, t := range r.Targets {
		word := "met"
		if !t.Met {
			word = "MISSED"
		}
		fmt.Fprintf(out, "%-6s %s\n", word, t)
	}
	return nil
}

// String spells the median and the 99th percentile.
func (t Times) String() string { return fmt.Sprintf("%.2f/%.2f ms", t.P50, t.P99) }

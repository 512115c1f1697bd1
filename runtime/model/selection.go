package model

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Outcome is how an execution provider did.
type Outcome string

// Outcomes of an attempt, from the best to the worst.
const (
	Right   Outcome = "right"   // its outputs are the golden ones
	Slow    Outcome = "slow"    // right, but it takes longer than the time between two samples
	Wrong   Outcome = "wrong"   // it computes something else
	Failed  Outcome = "failed"  // it opens the model and then doesn't run it
	Missing Outcome = "missing" // the library doesn't hold it, a library or driver of its own is missing or too old, or it refuses the model
)

// Attempt is one provider's try at one model of a bundle.
type Attempt struct {
	Provider string  `json:"provider"`
	Outcome  Outcome `json:"outcome"`
	Reason   string  `json:"reason,omitempty"` // why it is not Right
	// PerRun is the time of a sample; of a network in windows, that of a full window by the samples from one to the next.
	PerRun time.Duration `json:"ns_per_run,omitempty"`
	// Cached says what was not tried this time: the run time of a provider that is Right or Slow, whose outputs are compared with
	// the golden ones nevertheless; of one that is Wrong or Failed, everything.
	Cached bool `json:"cached,omitempty"`
}

// Choice is what runs one model of a bundle.
type Choice struct {
	Attempt           // the one that runs: Right or Slow
	Passed  []Attempt `json:"passed,omitempty"` // those before it in the order of preference
}

// Selection is which provider runs which model of a bundle, and why. It is never changed once it has been made.
type Selection struct {
	Requested []string      `json:"requested"` // in order of preference
	Required  bool          `json:"required"`  // the first one must run
	Library   string        `json:"library"`   // version of ONNX Runtime
	Period    time.Duration `json:"ns_per_sample"`
	Extractor Choice        `json:"extractor"`
	Segmenter Choice        `json:"segmenter"`
}

// Fallbacks says of each model that does not run on the provider that was asked for first why not, in one line each; none where all is as
// requested.
func (s *Selection) Fallbacks() []string {
	var list []string
	for _, m := range s.models() {
		for _, a := range m.Passed {
			list = append(list, fmt.Sprintf("%s not on %s but on %s: %s", m.name, a.Provider, m.Provider, a.Reason))
		}
	}
	return list
}

type named struct {
	name string
	*Choice
}

func (s *Selection) models() []named {
	return []named{{"extractor", &s.Extractor}, {"segmenter", &s.Segmenter}}
}

// Late reports whether the models together take longer than the time between two samples, so that a camera's frames would be lost.
func (s *Selection) Late() bool { return s.Extractor.PerRun+s.Segmenter.PerRun > s.Period }

// Versions are the texts that a status message shows: what was asked for, what runs, and why it is something else.
func (s *Selection) Versions() map[string]string {
	v := map[string]string{
		"provider_requested": strings.Join(s.Requested, " "),
		"provider_extractor": s.Extractor.Provider,
		"provider_segmenter": s.Segmenter.Provider,
	}
	if f := s.Fallbacks(); len(f) > 0 {
		v["provider_fallback"] = strings.Join(f, "; ")
	}
	return v
}

// Gauges are the numbers that a status message and metrics show: milliseconds a run as the probe measured them, and 1 for each
// model that runs on another provider than the first that was asked for, else 0.
func (s *Selection) Gauges() map[string]float64 {
	g := map[string]float64{}
	for _, m := range s.models() {
		g["probe_"+m.name+"_ms"] = float64(m.PerRun) / 1e6
		g["fallback_"+m.name] = 0
		if len(m.Passed) > 0 {
			g["fallback_"+m.name] = 1
		}
	}
	return g
}

// LogValue shows the selection as a group of a log record.
func (s *Selection) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("requested", strings.Join(s.Requested, " ")), slog.String("onnxruntime", s.Library)}
	for _, m := range s.models() {
		attrs = append(attrs, slog.String(m.name, m.Provider), slog.Duration(m.name+"_run", m.PerRun))
	}
	if f := s.Fallbacks(); len(f) > 0 {
		attrs = append(attrs, slog.String("fallback", strings.Join(f, "; ")))
	}
	return slog.GroupValue(attrs...)
}

// refused is the error of several attempts on one line, which wraps each of theirs.
type refused struct {
	text string
	errs []error
}

func (r *refused) Error() string   { return r.text }
func (r *refused) Unwrap() []error { return r.errs }

func refuse(model string, errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	var text []string
	for _, e := range errs {
		if !slices.Contains(text, e.Error()) {
			text = append(text, e.Error())
		}
	}
	return &refused{text: fmt.Sprintf("no execution provider runs the %s: %s", model, strings.Join(text, "; ")), errs: errs}
}

package gate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"tandem/tas"
)

// Config says when a candidate is better. The zero value gives the defaults.
type Config struct {
	// Margin is by how much it has to be, in points of the merit; default 0.
	Margin float64
	// Confidence is how sure that must be, default 0.95 (one-sided).
	Confidence float64
	// Draws of the bootstrap, default 2000.
	Draws int
}

// Trial is a comparison to be made.
type Trial struct {
	Labels     tas.Labels
	Background []string // labels whose segments don't count
	Exams      []Exam
	Running    Answers
	// Candidates are the answers of students that were trained alike but for the seed.
	Candidates []Answers
	// Chosen is which of them would be released.
	Chosen int
}

// Verdict is the outcome of a trial, with all that it was based on. It is what a release's report holds.
type Verdict struct {
	Takes int `json:"takes"` // held-out ones, or parts of takes
	Pairs int `json:"pairs"` // frames that have a partner
	Parts int `json:"parts"` // which the error was estimated from
	Seeds int `json:"seeds"`

	Running   Scores   `json:"running"`           // the release that runs, against the teacher
	Candidate Scores   `json:"candidate"`         // the chosen one, against the teacher
	BySeed    []Scores `json:"by_seed,omitempty"` // all candidates, where there are several
	Changes   float64  `json:"teacher_changes"`   // of the teacher's label, a minute
	Churn     float64  `json:"churn"`             // per cent of frames on which candidate and running release differ
	// Difference is by how many points the merit, the mean of Agreement and F1@50, is above the running release's, as the
	// mean over seeds; Error is its standard error over parts and seeds, and Low what it exceeds with Confidence.
	Difference float64 `json:"difference"`
	Error      float64 `json:"error"`
	Low        float64 `json:"low"`
	Margin     float64 `json:"margin"`
	Confidence float64 `json:"confidence"`
	Better     bool    `json:"better"` // Low > Margin
	Why        string  `json:"why"`    // one line
}

// fewest parts from which an error can be estimated.
const fewest = 3

// Judge compares candidates with the running release by a paired bootstrap (Efron & Tibshirani, "An Introduction to the
// Bootstrap", 1993, chapters 6 and 8): parts of the held-out takes are drawn with replacement, the same for both sides, and
// with them one of the seeds. The spread of the difference is its standard error e, by n/(n-1) larger in square for n parts, and
//
//	Low = Difference - t(Confidence, n-1) e
//
// with Student's t, since parts may be few. The draws depend on nothing but the trial.
func Judge(t Trial, cfg Config) (*Verdict, error) {
	cfg = cfg.defaults()
	if !(cfg.Confidence > 0.5 && cfg.Confidence < 1) || !(cfg.Margin >= 0) || cfg.Draws < 100 {
		return nil, fmt.Errorf("gate: confidence %g, margin %g, %d draws; expected 0.5 to 1, at least 0, at least 100",
			cfg.Confidence, cfg.Margin, cfg.Draws)
	}
	if len(t.Candidates) == 0 || t.Chosen < 0 || t.Chosen >= len(t.Candidates) {
		return nil, fmt.Errorf("gate: candidate %d of %d", t.Chosen, len(t.Candidates))
	}
	for _, a := range append([]Answers{t.Running}, t.Candidates...) {
		if len(a) != len(t.Exams) {
			return nil, fmt.Errorf("gate: answers to %d of %d exams", len(a), len(t.Exams))
		}
		for i, e := range t.Exams {
			if len(a[i]) != len(e.Teacher) {
				return nil, fmt.Errorf("gate: %s: %d labels for %d frames", e.Name, len(a[i]), len(e.Teacher))
			}
		}
	}
	k := t.Labels.Len()
	list, parts, err := papers(t.Exams, k)
	if err != nil {
		return nil, err
	}
	v := &Verdict{Takes: len(list), Parts: parts, Seeds: len(t.Candidates), Margin: cfg.Margin, Confidence: cfg.Confidence}
	running := sat(t.Exams, t.Running)
	var before []part
	if v.Running, before, err = mark(list, k, running, t.Labels, t.Background); err != nil {
		return nil, err
	}
	after := make([][]part, len(t.Candidates))
	for i, a := range t.Candidates {
		var s Scores
		if s, after[i], err = mark(list, k, sat(t.Exams, a), t.Labels, t.Background); err != nil {
			return nil, err
		}
		v.BySeed = append(v.BySeed, s)
	}
	v.Candidate = v.BySeed[t.Chosen]
	if len(v.BySeed) == 1 {
		v.BySeed = nil
	}
	v.churn(list, running, sat(t.Exams, t.Candidates[t.Chosen]))
	v.decide(before, after, cfg)
	return v, nil
}

// Mark scores a network's answers to exams.
func Mark(labels tas.Labels, background []string, exams []Exam, answers Answers) (Scores, error) {
	if len(answers) != len(exams) {
		return Scores{}, fmt.Errorf("gate: answers to %d of %d exams", len(answers), len(exams))
	}
	list, _, err := papers(exams, labels.Len())
	if err != nil {
		return Scores{}, err
	}
	s, _, err := mark(list, labels.Len(), sat(exams, answers), labels, background)
	return s, err
}

// sat are the answers to exams of which a frame counts: the others go, as papers has them gone.
func sat(exams []Exam, answers Answers) Answers {
	var out Answers
	for i, e := range exams {
		if slices.ContainsFunc(e.Weights, func(w float32) bool { return w > 0 }) {
			out = append(out, answers[i])
		}
	}
	return out
}

func (c Config) defaults() Config {
	if c.Confidence == 0 {
		c.Confidence = 0.95
	}
	if c.Draws == 0 {
		c.Draws = 2000
	}
	return c
}

// churn counts pairs, changes of the teacher's label, and frames on which the two networks differ.
func (v *Verdict) churn(list []paper, running, candidate Answers) {
	var seconds, differ, changes float64
	for i, p := range list {
		teacher, a, b := p.known(p.Teacher), p.known(running[i]), p.known(candidate[i])
		v.Pairs += len(a)
		seconds += float64(len(a)) / p.RateHz
		for t := range a {
			if a[t] != b[t] {
				differ++
			}
			if t > 0 && teacher[t] != teacher[t-1] {
				changes++
			}
		}
	}
	v.Churn, v.Changes = 100*differ/float64(v.Pairs), changes/(seconds/60)
}

// decide estimates the difference and its error.
func (v *Verdict) decide(before []part, after [][]part, cfg Config) {
	whole := func(parts []part) float64 {
		var sum part
		for _, p := range parts {
			sum.add(p)
		}
		return sum.merit()
	}
	base := whole(before)
	for _, parts := range after {
		v.Difference += (whole(parts) - base) / float64(len(after))
	}
	n := len(before)
	if n < fewest {
		v.Low = v.Difference
		v.Why = fmt.Sprintf("not shown: the teacher has seen only %d segments in the held-out takes, expected at least %d; longer takes are needed", n, fewest)
		return
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var sum, square float64
	for range cfg.Draws {
		seed := after[rng.IntN(len(after))]
		var old, now part
		for range n {
			i := rng.IntN(n)
			old.add(before[i])
			now.add(seed[i])
		}
		d := now.merit() - old.merit() - v.Difference
		sum += d
		square += d * d
	}
	draws := float64(cfg.Draws)
	mean := sum / draws
	v.Error = math.Sqrt(max(square/draws-mean*mean, 0) * float64(n) / float64(n-1))
	v.Low = v.Difference - student(cfg.Confidence, n-1)*v.Error
	v.Better = v.Low > v.Margin
	v.Why = v.explain()
}

func (v *Verdict) explain() string {
	text := fmt.Sprintf("%+.1f ± %.1f points against the running release on %d pairs", v.Difference, v.Error, v.Pairs)
	switch {
	case v.Better:
		return "better: " + text
	case v.Difference < 0:
		return "not better: " + text
	default:
		return fmt.Sprintf("not shown: %s, expected more than %g with %g %% confidence", text, v.Margin, 100*v.Confidence)
	}
}

// student is the quantile of Student's t with n degrees of freedom, by the expansion around the normal one (Abramowitz &
// Stegun, "Handbook of Mathematical Functions", 1964, 26.7.5).
func student(confidence float64, n int) float64 {
	z := math.Sqrt2 * math.Erfinv(2*confidence-1)
	v := float64(n)
	z2 := z * z
	z3, z5, z7 := z2*z, z2*z2*z, z2*z2*z2*z
	return z + (z3+z)/(4*v) + (5*z5+16*z3+3*z)/(96*v*v) + (3*z7+19*z5+17*z3-15*z)/(384*v*v*v)
}

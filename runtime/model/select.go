package model

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// Selector chooses for each model of a bundle the first execution provider of Options.Providers that opens it, runs it, computes
// the golden outputs, and takes no longer for a sample than the time between two. A provider that is only too slow is passed over
// as long as another one is fast enough; if none is, the fastest runs.
type Selector struct {
	Options ort.Options
	// Cache is a directory for what was measured, so that the next start is quicker; "" keeps nothing. It never replaces the
	// comparison with the golden outputs: see Attempt.Cached. What is in it is believed for a day.
	Cache string
	Log   *slog.Logger // default: nothing is logged

	// What tests put in the place of hardware that no test machine has.
	openExtractor func(*bundle.Dir, ort.Options) (*feature.Extractor, error)
	openSegmenter func(*bundle.Dir, ort.Options) (*segment.Segmenter, error)
	now           func() time.Time
	machine       func() string
}

// ErrRequired is wrapped when a provider that must be used can't be.
var ErrRequired = errors.New("required execution provider")

// Open chooses and opens. The model's Selection says what runs, and why. The caller closes the model.
//
// Errors wrap ort.ErrModel or bundle.ErrInvalid where the bundle is to blame; else ErrProbe for a provider that computes something
// else, ort.ErrProvider for one that can't be had, and ErrRequired where Options.Require forbids to go on to the next.
func (s *Selector) Open(b *bundle.Dir) (*Model, error) {
	if err := checkContract(b); err != nil {
		return nil, err
	}
	golden, err := readGolden(b)
	if err != nil {
		return nil, err
	}
	if err := ort.Init(""); err != nil {
		return nil, err
	}
	t := s.start(b, golden)
	defer t.close()
	seg, segChoice, err := choose(t, part[*segment.Segmenter]{
		name: partSegmenter, open: t.sel.openSegmenter,
		check: func(x *segment.Segmenter, provider string) error {
			return t.checkSegmenter(x, provider, golden.Features)
		},
		run: t.pushes,
	})
	if err != nil {
		return nil, err
	}
	ext, extChoice, err := choose(t, part[*feature.Extractor]{
		name: partExtractor, open: t.sel.openExtractor,
		check: func(x *feature.Extractor, provider string) error { return t.checkExtractor(x, seg, provider) },
		run:   t.extracts,
	})
	if err != nil {
		return nil, errors.Join(err, seg.Close())
	}
	m := &Model{Bundle: b, Extractor: ext, Segmenter: seg, Selection: &Selection{
		Requested: t.providers, Required: s.Options.Require, Library: ort.Version(), Period: t.period,
		Extractor: extChoice, Segmenter: segChoice,
	}}
	t.report(m.Selection)
	return m, nil
}

// trial is one bundle's way through the providers.
type trial struct {
	sel       Selector
	b         *bundle.Dir
	golden    Golden
	providers []string
	period    time.Duration
	cache     cache

	pictures  *pictures
	reference []float32 // features of the second picture by this machine's CPU, once they are needed
}

func (s *Selector) start(b *bundle.Dir, golden Golden) *trial {
	t := &trial{sel: *s, b: b, golden: golden, providers: slices.Clone(s.Options.Providers), period: time.Duration(1e9 / b.RateHz)}
	if len(t.providers) == 0 {
		t.providers = []string{ort.CPU}
	}
	def := &t.sel
	if def.Log == nil {
		def.Log = slog.New(slog.DiscardHandler)
	}
	if def.openExtractor == nil {
		def.openExtractor = feature.Open
	}
	if def.openSegmenter == nil {
		def.openSegmenter = segment.Open
	}
	if def.now == nil {
		def.now = time.Now
	}
	if def.machine == nil {
		def.machine = machine
	}
	t.cache = cache{dir: s.Cache, log: def.Log, now: def.now}
	return t
}

func (t *trial) close() { t.pictures.close() }

// options are those of a session on one provider alone.
func (t *trial) options(provider string) ort.Options {
	o := t.sel.Options
	o.Providers, o.Require, o.ProviderOptions = []string{provider}, true, nil
	if own := t.sel.Options.ProviderOptions[provider]; len(own) > 0 {
		o.ProviderOptions = map[string]map[string]string{provider: own}
	}
	return o
}

// report logs what came of it.
func (t *trial) report(s *Selection) {
	for _, f := range s.Fallbacks() {
		t.sel.Log.Warn("another execution provider runs than was asked for first", "release", t.b.Release, "what", f)
	}
	if s.Late() {
		t.sel.Log.Warn("the models take longer than the time between two samples: frames of a live camera will be lost",
			"release", t.b.Release, "extractor", s.Extractor.PerRun, "segmenter", s.Segmenter.PerRun, "period", s.Period)
	}
	t.sel.Log.Info("execution providers probed", "release", t.b.Release, "selection", s)
}

// part is how one of a bundle's models is opened and tried.
type part[T io.Closer] struct {
	name  string
	open  func(*bundle.Dir, ort.Options) (T, error)
	check func(x T, provider string) error                      // an error that wraps ErrProbe if the outputs are others
	run   func(x T) (once func() error, samples int, err error) // one run, to be timed, and how many samples it is of
}

// choose goes through the providers for one model.
func choose[T io.Closer](t *trial, p part[T]) (T, Choice, error) {
	x, choice, cached, err := pass(t, p, true)
	if err != nil && cached {
		// No error is made of what is only remembered.
		x, choice, _, err = pass(t, p, false)
	}
	return x, choice, err
}

// pass goes through the providers once. cached reports whether something was believed without a try.
func pass[T io.Closer](t *trial, p part[T], believe bool) (_ T, choice Choice, cached bool, err error) {
	var none T
	var errs []error
	var slow []Attempt
	var passed []Attempt
	for _, name := range t.providers {
		key := t.key(name)
		known, remembered := t.cache.get(key, p.name)
		bad := remembered && (known.Outcome == Wrong || known.Outcome == Failed)
		if bad && believe && !t.sel.Options.Require {
			known.Provider, known.Cached, cached = name, true, true
			passed = append(passed, known)
			errs = append(errs, fmt.Errorf("%w %q: %s", ort.ErrProvider, name, known.Reason))
			continue
		}
		x, a, err := try(t, p, name, known, remembered && !bad)
		switch {
		case err == nil && (a.Outcome == Right || t.sel.Options.Require || len(t.providers) == 1):
			return x, Choice{Attempt: a, Passed: passed}, cached, nil
		case err == nil:
			slow = append(slow, a)
			if err := x.Close(); err != nil {
				return none, choice, cached, err
			}
		case a.Outcome == "":
			return none, choice, cached, err // the bundle's fault: no provider would mend it
		case t.sel.Options.Require:
			return none, choice, cached, fmt.Errorf("%w %q can't run the %s of %s: %w; mend it, or set require to false to run on the next one",
				ErrRequired, name, p.name, t.b.Release, err)
		default:
			errs = append(errs, err)
		}
		passed = append(passed, a)
	}
	if len(slow) == 0 {
		return none, choice, cached, refuse(p.name+" of "+t.b.Release, errs)
	}
	// All are too slow: the fastest, and what it is slower than its predecessors would be no reason.
	best := slices.MinFunc(slow, func(a, b Attempt) int { return int(a.PerRun - b.PerRun) })
	x, a, err := try(t, p, best.Provider, best, true)
	if err != nil {
		return none, choice, cached, err
	}
	passed = slices.DeleteFunc(passed, func(o Attempt) bool { return o.Provider == best.Provider })
	return x, Choice{Attempt: a, Passed: passed}, cached, nil
}

// try opens the model on one provider, compares its outputs with the golden ones, and measures it unless its time is known.
// The attempt of an error that is not the provider's fault has no outcome.
func try[T io.Closer](t *trial, p part[T], provider string, known Attempt, timed bool) (x T, a Attempt, err error) {
	a.Provider = provider
	key := t.key(provider)
	if x, err = p.open(t.b, t.options(provider)); err != nil {
		if errors.Is(err, ort.ErrProvider) {
			a.Outcome, a.Reason = Missing, oneLine(err)
		}
		return x, a, err // never remembered: it costs little to see, and drivers come late after a start
	}
	fail := func(err error) (T, Attempt, error) {
		if a.Outcome = Wrong; !errors.Is(err, ErrProbe) {
			a.Outcome = Failed
			err = fmt.Errorf("%w %q: the %s of %s opens there and fails when it runs: %w", ort.ErrProvider, provider, p.name, t.b.Release, err)
		}
		a.Reason = oneLine(err)
		t.cache.put(key, p.name, a)
		return x, a, errors.Join(err, x.Close())
	}
	if err := p.check(x, provider); err != nil {
		return fail(err)
	}
	if a.PerRun, a.Cached = known.PerRun, timed; !timed {
		once, samples, err := p.run(x)
		if err == nil {
			a.PerRun, err = measure(once, t.sel.now)
			a.PerRun /= time.Duration(max(samples, 1))
		}
		if err == nil {
			err = p.check(x, provider) // the state of a model that has run a while is as good as a new one's
		}
		if err != nil {
			return fail(err)
		}
	}
	a.Outcome = Right
	if a.PerRun > t.period {
		a.Outcome = Slow
		a.Reason = fmt.Sprintf("it takes %v for a sample, %v is between two", a.PerRun.Round(10*time.Microsecond), t.period)
	}
	if !timed {
		t.cache.put(key, p.name, a)
	}
	return x, a, nil
}

// Bounds of a measurement: so many runs at least and at most, and no more once the time has passed.
const (
	warmUps    = 3
	leastRuns  = 7
	mostRuns   = 51
	longEnough = 200 * time.Millisecond
)

// measure returns the median time of a run after some that warm up.
func measure(once func() error, now func() time.Time) (time.Duration, error) {
	for range warmUps {
		if err := once(); err != nil {
			return 0, err
		}
	}
	var times []time.Duration
	for start := now(); len(times) < mostRuns && (len(times) < leastRuns || now().Sub(start) < longEnough); {
		at := now()
		if err := once(); err != nil {
			return 0, err
		}
		times = append(times, max(now().Sub(at), 1))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

package clock

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// source is one of where site time comes from. Its methods may be called at the same time.
type source interface {
	name() string
	every() time.Duration
	poll(ctx context.Context) error // asks once; the error says what is wrong with it or its answer
	at(m int64) Estimate            // of a local instant
	reset()                         // the local clock was interrupted
	describe(*SourceStatus)
}

// Clock tells the site's time. Its methods may be called at the same time.
type Clock struct {
	log     *slog.Logger
	members []*member
	base    time.Time // an instant on Go's monotonic clock,
	local   int64     // and the same on ours

	mu      sync.Mutex
	pacer   Pacer
	votes   []vote // memory
	slept   int64
	dispute string
}

// member is a source and how it gets on.
type member struct {
	source
	title    string // its name
	mu       sync.Mutex
	problem  string // the last one; empty once it got on well again
	doubted  bool   // the problem is only a doubt, which is not worth a warning
	problems int
	heard    time.Time // when a poll went well the last time
}

// retry is how long a source that failed is left alone: soon enough to notice steps, and no burden where it never comes.
const retry = time.Second

// New returns a clock that knows nothing until Run asks its sources. log may be nil.
func New(cfg Config, log *slog.Logger) (*Clock, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg = cfg.complete()
	var sources []source
	for _, kind := range Kinds() {
		if !slices.Contains(cfg.Sources, kind) {
			continue
		}
		more, err := open(kind, cfg)
		if err != nil {
			return nil, errors.Join(errors.New("source "+kind), err)
		}
		sources = append(sources, more...)
	}
	return newClock(sources, log), nil
}

// open makes the sources of a kind.
func open(kind string, cfg Config) ([]source, error) {
	switch kind {
	case SourcePHC:
		s, err := newPHCSource(cfg.PHC, cfg.Limits)
		return []source{s}, err
	case SourceChrony:
		return []source{newChronySource(cfg.Chrony, cfg.Limits)}, nil
	case SourceAdjtimex:
		s, err := newAdjtimexSource(cfg.Limits)
		return []source{s}, err
	}
	var list []source
	for _, server := range cfg.NTP.Servers {
		s, err := newNTPSource(server, cfg.NTP, cfg.Limits)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func newClock(sources []source, log *slog.Logger) *Clock {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Clock{log: log}
	c.slept, _ = slept()
	for _, s := range sources {
		c.members = append(c.members, &member{source: s, title: s.name()})
	}
	before := localNow()
	c.base = time.Now()
	c.local = before + (localNow()-before)/2
	return c
}

// Run asks the sources until ctx ends, and returns when nothing of it runs any more.
func (c *Clock) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for _, m := range c.members {
		group.Go(func() { c.follow(ctx, m) })
	}
	group.Wait()
	return nil
}

// follow asks one source again and again.
func (c *Clock) follow(ctx context.Context, m *member) {
	for {
		began := time.Now()
		c.notice()
		err := m.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		m.note(err, c.log)
		pause := m.every()
		if err != nil && !m.at(localNow()).Known {
			pause = max(pause, retry)
		}
		if !wait(ctx, pause-time.Since(began)) {
			return
		}
	}
}

// notice finds out whether the machine was suspended since the last time: the local clock stood still, and nothing that is
// known of it holds any more.
func (c *Clock) notice() {
	const small = int64(time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	now, gap := slept()
	if d := now - c.slept; d < small+gap && d > -small-gap {
		return
	}
	c.log.Warn("this machine was suspended; its clock starts anew", "for", time.Duration(now-c.slept))
	c.slept = now
	for _, m := range c.members {
		m.reset()
	}
}

// note keeps what came of a poll, and logs it when it changes.
func (m *member) note(err error, log *slog.Logger) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.heard = time.Now()
		if m.problem != "" && !m.doubted {
			log.Info("a source of time is well again", "source", m.title)
		}
		m.problem, m.doubted = "", false
		return
	}
	if errors.Is(err, errDoubt) {
		log.Debug("a source of time contradicts itself", "source", m.title, "err", err)
		if m.problem == "" {
			m.doubted = true
		}
	} else if m.problem == "" || m.doubted {
		m.doubted = false
		log.Warn("a source of time has a problem", "source", m.title, "err", err)
	}
	m.problem = err.Error()
	m.problems++
}

// Now is the site's time. It never runs backwards.
func (c *Clock) Now() Reading { return c.AtLocal(localNow()) }

// At is the site's time at t, which must hold a monotonic reading, as what time.Now returns does; without one it is compared by
// the system's time of day, which may have been set since.
func (c *Clock) At(t time.Time) Reading { return c.AtLocal(c.local + int64(t.Sub(c.base))) }

// AtLocal is the site's time at an instant of this machine's monotonic clock, ns: CLOCK_MONOTONIC on Linux, on which V4L2
// stamps frames.
func (c *Clock) AtLocal(m int64) Reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.votes = c.votes[:0]
	for _, s := range c.members {
		c.votes = append(c.votes, vote{s.title, s.at(m)})
	}
	winner, dispute, ok := decide(c.votes)
	c.argue(dispute)
	if !ok {
		return Reading{}
	}
	r := c.pacer.Read(m, winner.Estimate)
	r.Source = winner.name
	return r
}

// argue logs a dispute once, and its end.
func (c *Clock) argue(dispute error) {
	switch {
	case dispute == nil && c.dispute != "":
		c.log.Info("the sources of time agree again")
		c.dispute = ""
	case dispute != nil:
		if c.dispute == "" {
			c.log.Warn("sources of time disagree", "err", dispute)
		}
		c.dispute = dispute.Error()
	}
}

// Status is how a clock and its sources are.
type Status struct {
	Reading
	// SystemOffset is what the site's time is ahead of this machine's system time.
	SystemOffset time.Duration
	Dispute      string // which sources disagree, by how much; empty if none do
	Sources      []SourceStatus
}

// SourceStatus is how one source is.
type SourceStatus struct {
	Name      string
	State     State
	Offset    time.Duration // what its time is ahead of this machine's system time
	Bound     time.Duration // 0 if nothing is known
	SkewPPM   float64       // how much faster it runs than this machine's clock
	SkewError float64       // ± ppm; 0 if it is not measured
	RoundTrip time.Duration // the smallest
	Heard     time.Time     // when it answered well the last time
	Problem   string        // what is wrong now
	Problems  int           // polls with a problem
	Stats     FilterStats
}

// Status returns how the clock and each source is now.
func (c *Clock) Status() Status {
	local, wall, _ := readWall()
	st := Status{Reading: c.AtLocal(local)}
	if st.Known {
		st.SystemOffset = time.Duration(st.Time - wall)
	}
	c.mu.Lock()
	st.Dispute = c.dispute
	c.mu.Unlock()
	for _, m := range c.members {
		e := m.at(local)
		s := SourceStatus{Name: m.title, State: e.State}
		if e.Known {
			s.Offset = time.Duration(local + e.Offset - wall)
			s.Bound = time.Duration(max(e.Hi-e.Offset, e.Offset-e.Lo))
		}
		m.describe(&s)
		m.mu.Lock()
		s.Heard, s.Problem, s.Problems = m.heard, m.problem, m.problems
		m.mu.Unlock()
		st.Sources = append(st.Sources, s)
	}
	return st
}

// Problem says in one line why the site's time is not known well: the dispute, or what is wrong with the first source that has
// a problem; empty if all is well.
func (s Status) Problem() string {
	problem := s.Dispute
	for _, x := range s.Sources {
		problem = cmp.Or(problem, x.Problem)
	}
	return problem
}

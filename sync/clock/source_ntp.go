package clock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/beevik/ntp"
)

// ntpSource asks one server in bursts.
type ntpSource struct {
	kind    string
	server  string // as configured
	address string // HOST:PORT; empty for a device
	cfg     NTPConfig
	// query is one exchange; tests answer themselves.
	query func(ctx context.Context, address string, timeout time.Duration) (Sample, error)

	mu       sync.Mutex
	filter   *Filter
	resolved string // the server's address, found by name; empty after a burst without an answer
}

func newNTPSource(server string, cfg NTPConfig, limits Limits) (*ntpSource, error) {
	address, err := serverAddress(server)
	if err != nil {
		return nil, err
	}
	return &ntpSource{kind: SourceNTP, server: server, address: address, cfg: cfg, query: queryNTP, filter: NewFilter(limits)}, nil
}

func (s *ntpSource) name() string         { return s.kind + " " + s.server }
func (s *ntpSource) every() time.Duration { return s.cfg.Poll }

// errDoubt is a poll whose answer contradicts those before it. It happens now and then on busy machines and means little.
var errDoubt = errors.New("until the next ones decide, the bound covers both")

// poll asks a burst and gives the filter its best sample. An error says why there is none, or what its sample contradicts.
func (s *ntpSource) poll(ctx context.Context) error {
	var burst []Sample
	var last error
	for i := range s.cfg.Burst {
		if i > 0 && s.address != "" && !wait(ctx, DefaultGap) {
			return ctx.Err()
		}
		address, err := s.resolve(ctx)
		if err != nil {
			return err
		}
		x, err := s.query(ctx, address, s.cfg.Timeout)
		if err == nil {
			err = x.Check()
		}
		if err != nil {
			last = err
			continue
		}
		burst = append(burst, x)
	}
	best, ok := Best(burst)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !ok {
		s.resolved = ""
		return fmt.Errorf("%s: %w", s.server, last)
	}
	before := s.filter.At(best.T4)
	event, err := s.filter.Add(best)
	switch event {
	case Refused:
		return fmt.Errorf("%s: %w", s.server, err)
	case Suspect:
		return fmt.Errorf("%s: its answer is %v off what it said before; %w",
			s.server, time.Duration(best.mid()-before.Offset), errDoubt)
	case Stepped:
		return fmt.Errorf("%s: its clock was set by %v, or this machine's, or another server answers there; starting anew",
			s.server, time.Duration(best.mid()-before.Offset))
	}
	return nil
}

// resolve finds the server's address once, and again after it was away.
func (s *ntpSource) resolve(ctx context.Context) (string, error) {
	s.mu.Lock()
	resolved := s.resolved
	s.mu.Unlock()
	switch {
	case resolved != "":
		return resolved, nil
	case s.address == "":
		return s.server, nil
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.server, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resolved = net.JoinHostPort(ips[0], port)
	return s.resolved, nil
}

func (s *ntpSource) at(m int64) Estimate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.filter.At(m)
}

func (s *ntpSource) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter.Reset()
}

func (s *ntpSource) describe(st *SourceStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.SkewPPM, st.SkewError = s.filter.Skew()
	st.RoundTrip = s.filter.RoundTrip()
	st.Stats = s.filter.Stats()
}

// localShift is added to the local clock for the NTP library, which takes it for a time of day and would mistake 1970.
var localShift = time.Now().UnixNano() - localNow()

// queryNTP is one exchange over UDP. Stamps are those of the local monotonic clock, which nobody sets.
func queryNTP(ctx context.Context, address string, timeout time.Duration) (Sample, error) {
	var stop func() bool
	defer func() {
		if stop != nil {
			stop()
		}
	}()
	r, err := ntp.QueryWithOptions(address, ntp.QueryOptions{
		Timeout:       timeout,
		GetSystemTime: func() time.Time { return time.Unix(0, localNow()+localShift) },
		Dialer: func(_, remote string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "udp", remote)
			if err == nil {
				stop = context.AfterFunc(ctx, func() { _ = conn.Close() })
			}
			return conn, err
		},
	})
	switch {
	case ctx.Err() != nil:
		return Sample{}, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Sample{}, fmt.Errorf("no answer within %v; is the hub away, or UDP blocked?", timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return Sample{}, fmt.Errorf("nothing answers NTP there; does the hub run with --ntp? (%w)", err)
	case err != nil:
		return Sample{}, err
	}
	if err := r.Validate(); err != nil {
		return Sample{}, fmt.Errorf("the server says that its time is no good: %w (stratum %d)", err, r.Stratum)
	}
	t := r.Timestamps
	return Sample{
		T1: t.ClientXmit.UnixNano() - localShift, T4: t.ClientRecv.UnixNano() - localShift,
		T2: t.ServerRecv.UnixNano(), T3: t.ServerXmit.UnixNano(),
		Distance: int64(r.RootDelay/2 + r.RootDispersion),
	}, nil
}

// wait waits for d; false if ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

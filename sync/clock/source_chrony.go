package clock

import (
	"context"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/facebook/time/ntp/chrony"
)

// newChronySource reads chronyd's tracking: how far the system's clock may be from true time is half the root delay, plus the
// root dispersion, plus what is still to be corrected (chrony.conf(5), "maximum error"; the same sum as ClockBound's).
func newChronySource(cfg ChronyConfig, limits Limits) *hostSource {
	return &hostSource{kind: SourceChrony, limits: limits, read: func(ctx context.Context) (hostReading, error) {
		return readChrony(ctx, cfg.Address)
	}}
}

// chronyTimeout is for an answer of a daemon on this machine.
const chronyTimeout = time.Second

func readChrony(ctx context.Context, address string) (hostReading, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", address)
	if err != nil {
		return hostReading{}, fmt.Errorf("chrony: %w", err)
	}
	defer conn.Close() //nolint:errcheck // a datagram socket
	if err := conn.SetDeadline(time.Now().Add(chronyTimeout)); err != nil {
		return hostReading{}, fmt.Errorf("chrony: %w", err)
	}
	client := chrony.Client{Connection: conn}
	answer, err := client.Communicate(chrony.NewTrackingPacket())
	if err != nil {
		return hostReading{}, fmt.Errorf("chrony: no answer from %s (%w); does chronyd run, with cmdport not 0?", address, err)
	}
	tracking, ok := answer.(*chrony.ReplyTracking)
	if !ok {
		return hostReading{}, fmt.Errorf("chrony: %s answered with %T, expected its tracking", address, answer)
	}
	local, wall, gap := readWall()
	return chronyReading(tracking.Tracking, local, wall, gap)
}

// leapUnsynchronized is chrony's leap status of a clock that follows nothing.
const leapUnsynchronized = 3

func chronyReading(t chrony.Tracking, local, wall, gap int64) (hostReading, error) {
	if t.LeapStatus == leapUnsynchronized || t.Stratum == 0 {
		return hostReading{}, fmt.Errorf("chrony: it is not synchronized (stratum %d); see 'chronyc sources'", t.Stratum)
	}
	bound := t.RootDelay/2 + t.RootDispersion + math.Abs(t.CurrentCorrection)
	growth := t.SkewPPM + math.Abs(t.ResidFreqPPM) + 1
	if !(bound >= 0 && bound < 1e6 && growth < 1e6) {
		return hostReading{}, fmt.Errorf("chrony: a bound of %g s that grows by %g ppm makes no sense", bound, growth)
	}
	return hostReading{local: local, wall: wall, bound: int64(bound*1e9) + gap, growth: growth * 1e3}, nil
}

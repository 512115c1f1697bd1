package clock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/facebook/time/phc"
	"golang.org/x/sys/unix"
)

// newAdjtimexSource reads the bound that the kernel keeps for whoever disciplines the clock (adjtimex(2)): maxerror, which
// grows by 500 ppm between updates, and what is still to be corrected.
func newAdjtimexSource(limits Limits) (*hostSource, error) {
	return &hostSource{kind: SourceAdjtimex, limits: limits, read: func(context.Context) (hostReading, error) {
		var t unix.Timex
		state, err := unix.Adjtimex(&t)
		if err != nil {
			return hostReading{}, fmt.Errorf("adjtimex: %w", err)
		}
		local, wall, gap := readWall()
		return timexReading(t, state, local, wall, gap)
	}}, nil
}

func timexReading(t unix.Timex, state int, local, wall, gap int64) (hostReading, error) {
	if state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0 {
		return hostReading{}, errors.New("adjtimex: the kernel says that nobody disciplines the clock; does chronyd, ntpd or systemd-timesyncd run?")
	}
	left := int64(t.Offset) //nolint:unconvert // µs, or ns with STA_NANO; 32 bits on some machines
	if t.Status&unix.STA_NANO == 0 {
		left *= 1000
	}
	most := int64(t.Maxerror) * 1000 //nolint:unconvert // 32 bits on some machines
	return hostReading{local: local, wall: wall, bound: most + max(left, -left) + gap, growth: 500e3}, nil
}

// newPHCSource reads a PTP hardware clock as if it were a server that is microseconds away.
func newPHCSource(cfg PHCConfig, limits Limits) (*ntpSource, error) {
	read := func(_ context.Context, device string, _ time.Duration) (Sample, error) {
		return readPHC(device, cfg)
	}
	return &ntpSource{
		kind: SourcePHC, server: cfg.Device, query: read, filter: NewFilter(limits),
		cfg: NTPConfig{Poll: DefaultPoll, Burst: 8},
	}, nil
}

func readPHC(device string, cfg PHCConfig) (Sample, error) {
	if !strings.HasPrefix(device, "/") {
		found, err := phc.IfaceToPHCDevice(device)
		if err != nil {
			return Sample{}, fmt.Errorf("no PTP hardware clock: %w", err)
		}
		device = found
	}
	file, err := os.Open(device)
	if err != nil {
		return Sample{}, fmt.Errorf("no PTP hardware clock: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	dev := phc.FromFile(file)
	before := localNow()
	t, err := dev.Time()
	after := localNow()
	if err != nil {
		return Sample{}, fmt.Errorf("read the PTP hardware clock: %w", err)
	}
	ns := t.Add(-cfg.Offset).UnixNano()
	return Sample{T1: before, T2: ns, T3: ns, T4: after, Distance: int64(cfg.Bound)}, nil
}

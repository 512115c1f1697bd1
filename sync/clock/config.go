package clock

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"
)

// Kinds of sources, in the order in which they are preferred.
const (
	SourcePHC      = "phc"      // a PTP hardware clock
	SourceChrony   = "chrony"   // the system's clock, by chrony's own bound
	SourceAdjtimex = "adjtimex" // the system's clock, by the kernel's own bound
	SourceNTP      = "ntp"      // bursts to the hub
)

// Config says where site time comes from. Sources are preferred in the order of Kinds, however they are listed.
type Config struct {
	// Sources are the kinds to use. Default ntp. The others say how well this machine follows a reference, which is the site's
	// time only where the hub follows the same one; list ntp, too, and they are compared with the hub.
	Sources []string     `yaml:"sources"`
	PHC     PHCConfig    `yaml:"phc"`
	Chrony  ChronyConfig `yaml:"chrony"`
	NTP     NTPConfig    `yaml:"ntp"`
	Limits  Limits       `yaml:"limits"`
}

// PHCConfig is a PTP hardware clock that a daemon such as ptp4l keeps. Nearly every network card has one, most run free, and
// the clock itself doesn't know: so it is used only where it is named.
type PHCConfig struct {
	Device string `yaml:"device"` // such as /dev/ptp0, or a network interface's name
	// Offset is what the clock is ahead of UTC: 37 s if it counts TAI, as ptp4l does unless told otherwise.
	Offset time.Duration `yaml:"offset"`
	// Bound is how far the daemon lets it get from its grandmaster. Default 100 µs.
	Bound time.Duration `yaml:"bound"`
}

// ChronyConfig is where chronyd answers.
type ChronyConfig struct {
	Address string `yaml:"address"` // HOST:PORT; default 127.0.0.1:323
}

// NTPConfig is the hub, and how it is asked.
type NTPConfig struct {
	// Servers are HOST or HOST:PORT, the hub first. Others stand in for it when it is away, and show when one lies: of three, two
	// that agree outvote one.
	Servers []string      `yaml:"servers"`
	Poll    time.Duration `yaml:"poll"`    // from burst to burst; default DefaultPoll. At most 2 s, so that steps are noticed within 5 s
	Burst   int           `yaml:"burst"`   // exchanges; default DefaultBurst
	Timeout time.Duration `yaml:"timeout"` // for an answer; default DefaultTimeout
}

// Kinds lists the kinds of sources, the best first.
func Kinds() []string { return []string{SourcePHC, SourceChrony, SourceAdjtimex, SourceNTP} }

// complete fills in defaults.
func (c Config) complete() Config {
	if len(c.Sources) == 0 {
		c.Sources = []string{SourceNTP}
	}
	if c.PHC.Bound == 0 {
		c.PHC.Bound = 100 * time.Microsecond
	}
	if c.Chrony.Address == "" {
		c.Chrony.Address = "127.0.0.1:323"
	}
	if c.NTP.Poll == 0 {
		c.NTP.Poll = DefaultPoll
	}
	if c.NTP.Burst == 0 {
		c.NTP.Burst = DefaultBurst
	}
	if c.NTP.Timeout == 0 {
		c.NTP.Timeout = DefaultTimeout
	}
	c.Limits = c.Limits.complete()
	return c
}

// Check returns an error that names the field, what was found and what was expected.
func (c Config) Check() error {
	c = c.complete()
	for i, s := range c.Sources {
		if !slices.Contains(Kinds(), s) {
			return fmt.Errorf("sources: %q, expected some of phc, chrony, adjtimex, ntp", s)
		}
		if slices.Contains(c.Sources[:i], s) {
			return fmt.Errorf("sources: %s is listed twice", s)
		}
	}
	if slices.Contains(c.Sources, SourcePHC) && c.PHC.Device == "" {
		return errors.New("phc.device: missing, expected the clock that a PTP daemon keeps, such as /dev/ptp0 or a network interface")
	}
	if c.PHC.Bound < 0 {
		return fmt.Errorf("phc.bound: %v, expected more than 0", c.PHC.Bound)
	}
	if _, _, err := net.SplitHostPort(c.Chrony.Address); err != nil {
		return fmt.Errorf("chrony.address: %w, expected HOST:PORT", err)
	}
	return errors.Join(c.checkNTP(), c.Limits.Check())
}

func (c Config) checkNTP() error {
	if !slices.Contains(c.Sources, SourceNTP) {
		return nil
	}
	if len(c.NTP.Servers) == 0 {
		return errors.New("ntp.servers: missing, expected the hub as HOST or HOST:PORT")
	}
	seen := map[string]bool{}
	for _, s := range c.NTP.Servers {
		address, err := serverAddress(s)
		if err != nil {
			return fmt.Errorf("ntp.servers: %w", err)
		}
		if seen[address] {
			return fmt.Errorf("ntp.servers: %s is listed twice", s)
		}
		seen[address] = true
	}
	switch n := c.NTP; {
	case n.Poll < 100*time.Millisecond || n.Poll > 2*time.Second:
		return fmt.Errorf("ntp.poll: %v, expected 100ms to 2s", n.Poll)
	case n.Burst < 1 || n.Burst > 16:
		return fmt.Errorf("ntp.burst: %d, expected 1 to 16", n.Burst)
	case n.Timeout < time.Millisecond || n.Timeout > time.Second:
		return fmt.Errorf("ntp.timeout: %v, expected 1ms to 1s", n.Timeout)
	}
	return nil
}

// serverAddress completes HOST to HOST:123.
func serverAddress(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, "123"
		if ip := net.ParseIP(s); ip == nil && (s == "" || slices.ContainsFunc([]byte(s), func(b byte) bool { return b == ':' || b == '/' || b <= ' ' })) {
			return "", fmt.Errorf("%q, expected HOST or HOST:PORT", s)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return "", fmt.Errorf("%q, expected HOST or HOST:PORT with a port from 1 to 65535", s)
	}
	return net.JoinHostPort(host, port), nil
}

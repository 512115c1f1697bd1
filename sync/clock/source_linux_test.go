package clock

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/facebook/time/ntp/chrony"
	"golang.org/x/sys/unix"
)

func TestChronyBound(t *testing.T) {
	good := chrony.Tracking{
		Stratum: 3, RootDelay: 0.010, RootDispersion: 0.002, CurrentCorrection: -0.001, SkewPPM: 0.5, ResidFreqPPM: -0.25,
	}
	r, err := chronyReading(good, sec, epoch, 100)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(8e6) + 100; r.bound != want || r.growth != 1750 || r.local != sec || r.wall != epoch {
		t.Errorf("%+v, expected a bound of %d that grows by 1750 ns a second", r, want)
	}
	s := &hostSource{kind: SourceChrony, limits: Limits{}.complete(), known: true, last: r}
	if e := s.at(11 * sec); e.Hi-e.Lo != 2*(r.bound+17500) || e.Offset != epoch-sec || e.State != Holdover {
		t.Errorf("10 s later: %+v", e)
	}
	for want, edit := range map[string]func(*chrony.Tracking){
		"not synchronized": func(t *chrony.Tracking) { t.LeapStatus = 3 },
		"makes no sense":   func(t *chrony.Tracking) { t.RootDispersion = -5 },
	} {
		bad := good
		edit(&bad)
		if _, err := chronyReading(bad, sec, epoch, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

func TestHostSourceNoticesThatTheSystemsClockIsSet(t *testing.T) {
	wall := epoch
	local := sec
	s := &hostSource{kind: SourceChrony, limits: Limits{}.complete(), read: func(context.Context) (hostReading, error) {
		local += sec
		return hostReading{local: local, wall: wall + local, bound: ms, growth: 1000}, nil
	}}
	if err := s.poll(t.Context()); err != nil || s.at(local).State != Locked {
		t.Fatalf("%v, %+v", err, s.at(local))
	}
	wall -= sec / 2
	err := s.poll(t.Context())
	if e := s.at(local); err == nil || !strings.Contains(err.Error(), "set by -500ms") || e.State != Converging || e.Hi < epoch || e.Lo > wall {
		t.Errorf("%v, %+v", err, e)
	}
	if err := s.poll(t.Context()); err != nil || s.at(local).State != Locked || s.at(local).Hi > wall+2*ms {
		t.Errorf("%v, %+v", err, s.at(local))
	}
}

func TestChronyThatDoesNotAnswer(t *testing.T) {
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // answers nonsense once
		buf := make([]byte, 1500)
		if n, from, err := conn.ReadFrom(buf); err == nil {
			_, _ = conn.WriteTo(buf[:n/2], from)
		}
		_ = conn.Close()
	}()
	for range 2 {
		_, err := readChrony(t.Context(), conn.LocalAddr().String())
		if err == nil || !strings.Contains(err.Error(), "does chronyd run") {
			t.Errorf("%v", err)
		}
	}
}

func TestKernelBound(t *testing.T) {
	r, err := timexReading(unix.Timex{Maxerror: 1500, Offset: -20}, 0, sec, epoch, 100)
	if err != nil || r.bound != 1_520_100 || r.growth != 500e3 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = timexReading(unix.Timex{Maxerror: 1500, Offset: 20, Status: unix.STA_NANO}, 0, sec, epoch, 100)
	if err != nil || r.bound != 1_500_120 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, x := range []unix.Timex{{Status: unix.STA_UNSYNC}, {}} {
		if _, err := timexReading(x, unix.TIME_ERROR, sec, epoch, 0); err == nil || !strings.Contains(err.Error(), "nobody disciplines") {
			t.Errorf("%v", err)
		}
	}
}

// The real kernel either knows its bound or says that nobody disciplines it; both are answers.
func TestKernelAnswers(t *testing.T) {
	s, err := newAdjtimexSource(Limits{}.complete())
	if err != nil {
		t.Fatal(err)
	}
	err = s.poll(t.Context())
	e := s.at(localNow())
	if (err == nil) != e.Known || err != nil && !strings.Contains(err.Error(), "adjtimex") {
		t.Errorf("%v, %+v", err, e)
	}
}

func TestPHCThatIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ptp9")
	s, err := newPHCSource(PHCConfig{Device: file}, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.poll(t.Context()); err == nil || !strings.Contains(err.Error(), "no PTP hardware clock") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.poll(t.Context()); err == nil || !strings.Contains(err.Error(), "read the PTP hardware clock") {
		t.Errorf("%v", err)
	}
	s.server = "lo"
	if err := s.poll(t.Context()); err == nil || !strings.Contains(err.Error(), "no PTP hardware clock") {
		t.Errorf("%v", err)
	}
	if s.at(localNow()).Known || s.name() != "phc lo" {
		t.Error("something is known")
	}
}

// A hardware clock, where there is one that this user may read.
func TestPHCOfThisMachine(t *testing.T) {
	devices, err := filepath.Glob("/dev/ptp[0-9]*")
	if err != nil || len(devices) == 0 {
		t.Skip("this machine has no PTP hardware clock")
	}
	x, err := readPHC(devices[0], PHCConfig{Bound: time.Millisecond})
	if err != nil {
		t.Skipf("its clock can't be read: %v", err)
	}
	if err := x.Check(); err != nil || x.Distance != ms {
		t.Errorf("%+v: %v", x, err)
	}
}

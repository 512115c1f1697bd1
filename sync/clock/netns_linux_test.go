package clock

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// roleVariable makes the test's binary a process of the site: hub, relay, device, or host with a chronyd.
const roleVariable = "TANDEM_CLOCK_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run()) //nolint:forbidigo // it is the test's main
	}
	if err := play(role, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1) //nolint:forbidigo // the process is no test
	}
	os.Exit(0) //nolint:forbidigo // the process is no test
}

// claim is what a device says of an instant; all processes share the kernel's clock, so the truth lies between Before and After.
type claim struct {
	Before, After    int64
	Reading          Reading
	Problem          string
	SkewPPM, SkewErr float64
}

func play(role string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch role {
	case "hub":
		hub, err := Listen(ctx, args[0], nil, nil)
		if err != nil {
			return err
		}
		return hub.Serve(ctx)
	case "relay":
		return relay(ctx, args[0], args[1])
	}
	config := Config{NTP: NTPConfig{Servers: args}}
	if role == "host" {
		config.Sources = []string{SourceChrony}
	}
	c, err := New(config, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	out := json.NewEncoder(os.Stdout)
	for wait(ctx, 20*time.Millisecond) {
		st := c.Status()
		x := claim{Before: time.Now().UnixNano(), Problem: st.Problem(), SkewPPM: st.Sources[0].SkewPPM, SkewErr: st.Sources[0].SkewError}
		x.Reading = c.Now()
		x.After = time.Now().UnixNano()
		if err := out.Encode(x); err != nil {
			break // nobody reads any more
		}
	}
	return <-done
}

// relay passes datagrams on with a delay of 1 ms and an exponential jitter of 1 ms each way. It stands in for netem where the
// kernel has none.
func relay(ctx context.Context, listen, server string) error {
	var lc net.ListenConfig
	front, err := lc.ListenPacket(ctx, "udp", listen)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	stop := context.AfterFunc(ctx, func() { _ = front.Close() })
	defer stop()
	later := func(send func()) {
		group.Go(func() {
			if wait(ctx, time.Millisecond+time.Duration(rand.ExpFloat64()*1e6)) {
				send()
			}
		})
	}
	for {
		buf := make([]byte, 1500)
		n, from, err := front.ReadFrom(buf)
		if err != nil {
			return nil
		}
		later(func() {
			back, err := new(net.Dialer).DialContext(ctx, "udp", server)
			if err != nil {
				return
			}
			defer back.Close() //nolint:errcheck // a datagram socket
			_ = back.SetDeadline(time.Now().Add(time.Second))
			answer := make([]byte, 1500)
			if _, err := back.Write(buf[:n]); err != nil {
				return
			}
			if n, err := back.Read(answer); err == nil {
				later(func() { _, _ = front.WriteTo(answer[:n], from) })
			}
		})
	}
}

// site is three network namespaces joined by a bridge in a fourth.
type site struct {
	t     *testing.T
	names map[string]string // namespace by machine
	netem bool
}

func must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// sites numbers them, so that tests run at the same time.
var sites atomic.Int32

// newSite makes the namespaces, or skips the test and says why.
func newSite(t *testing.T) *site {
	t.Helper()
	if testing.Short() {
		t.Skip("short: processes in network namespaces take some seconds")
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (package iproute2)", tool)
		}
	}
	s := &site{t: t, names: map[string]string{}, netem: true}
	prefix := fmt.Sprintf("tdm%d-%d", os.Getpid()%100000, sites.Add(1))
	for i, machine := range []string{"switch", "hub", "one", "two"} {
		ns := fmt.Sprintf("%s-%d", prefix, i)
		if out, err := exec.CommandContext(t.Context(), "ip", "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("network namespaces are not allowed here: %s", strings.TrimSpace(string(out)))
		}
		s.names[machine] = ns
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() }) //nolint:noctx // the test's context has ended
	}
	sw := s.names["switch"]
	if out, err := exec.CommandContext(t.Context(), "ip", "-n", sw, "link", "add", "br0", "type", "bridge").CombinedOutput(); err != nil {
		t.Skipf("no bridges here: %s", strings.TrimSpace(string(out)))
	}
	must(t, "ip", "-n", sw, "link", "set", "br0", "up")
	for i, machine := range []string{"hub", "one", "two"} {
		ns, port := s.names[machine], fmt.Sprintf("p%d", i)
		if out, err := exec.CommandContext(t.Context(), "ip", "-n", sw, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns).CombinedOutput(); err != nil {
			t.Skipf("no veth pairs here: %s", strings.TrimSpace(string(out)))
		}
		must(t, "ip", "-n", sw, "link", "set", port, "master", "br0", "up")
		must(t, "ip", "-n", ns, "addr", "add", fmt.Sprintf("10.99.0.%d/24", i+1), "dev", "eth0")
		must(t, "ip", "-n", ns, "link", "set", "eth0", "up")
		must(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	for _, machine := range []string{"hub", "one", "two"} {
		args := []string{"-n", s.names[machine], "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "1ms", "1ms", "distribution", "pareto"}
		if out, err := exec.CommandContext(t.Context(), "tc", args...).CombinedOutput(); err != nil {
			t.Logf("no netem here (%s): a relay of our own delays the packets", strings.TrimSpace(string(out)))
			s.netem = false
			break
		}
	}
	return s
}

// start runs a program on a machine until the test ends, or stop is called.
func (s *site) start(machine, role string, args ...string) (out io.Reader, stop func()) {
	s.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", s.names[machine]}, args...)...) //nolint:noctx // interrupted by stop
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(os.Interrupt)
			_ = cmd.Wait()
		})
	}
	s.t.Cleanup(stop)
	return pipe, stop
}

// self runs this test's binary in a role.
func (s *site) self(machine, role string, args ...string) (io.Reader, func()) {
	s.t.Helper()
	binary, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.start(machine, role, append([]string{binary}, args...)...)
}

// hub starts the hub and returns where devices find it.
func (s *site) hub() string {
	s.self("hub", "hub", "0.0.0.0:1123")
	if s.netem {
		return "10.99.0.1:1123"
	}
	s.self("hub", "relay", "10.99.0.1:1124", "10.99.0.1:1123")
	return "10.99.0.1:1124"
}

// watch reads a device's claims for some seconds from when it is first locked, and checks each.
func watch(t *testing.T, device string, out io.Reader, lasts time.Duration) {
	lines := bufio.NewScanner(out)
	began := time.Now()
	var locked time.Time
	var n, last int64
	var x claim
	for lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Errorf("%s: %v", device, err)
			return
		}
		if r := x.Reading; r.Known {
			n++
			if r.Latest < x.Before || r.Earliest > x.After {
				t.Errorf("%s: the truth left the interval: %+v", device, x)
			}
			if r.Time < last {
				t.Errorf("%s: time ran back by %d", device, last-r.Time)
			}
			last = r.Time
			if r.State == Locked && locked.IsZero() {
				locked = time.Now()
			}
		}
		if !locked.IsZero() && time.Since(locked) > lasts {
			t.Logf("%s: locked after %v; %d readings, the last ± %v, skew %.1f ± %.1f ppm", device,
				locked.Sub(began).Round(10*time.Millisecond), n, x.Reading.Bound().Round(time.Microsecond), x.SkewPPM, x.SkewErr)
			return
		}
		if locked.IsZero() && time.Since(began) > 30*time.Second {
			break
		}
	}
	t.Errorf("%s never locked: %+v", device, x)
}

// A hub and two devices, each a process in a network namespace of its own.
func TestSiteInNetworkNamespaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	address := s.hub()
	var group sync.WaitGroup
	for _, machine := range []string{"one", "two"} {
		out, stop := s.self(machine, "device", address)
		group.Go(func() {
			defer stop()
			watch(t, machine, out, time.Second)
		})
	}
	group.Wait()
}

// chronyd is an NTP server of another make, and a client of our hub of another make.
func TestChronyInNetworkNamespaces(t *testing.T) {
	t.Parallel()
	chronyd, err := exec.LookPath("chronyd")
	if err != nil {
		t.Skip("chronyd is not installed (package chrony)")
	}
	s := newSite(t)
	address := s.hub()
	host, port, _ := net.SplitHostPort(address)
	dir := t.TempDir()
	config := filepath.Join(dir, "chrony.conf")
	text := fmt.Sprintf("server %s port %s iburst minpoll 0 maxpoll 0\nallow 10.99.0.0/24\nport 1125\ncmdport 323\nbindcmdaddress 127.0.0.1\nbindcmdaddress /\npidfile %s\n",
		host, port, filepath.Join(dir, "pid"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// -x: chronyd must not touch this machine's clock, -d: in the foreground, -u root: keeps to the directory of the test
	_, _ = s.start("one", "chrony", chronyd, "-x", "-d", "-u", "root", "-f", config)
	out, stop := s.self("two", "device", "10.99.0.2:1125", address)
	defer stop()
	watch(t, "two, behind chronyd", out, time.Second)
	host1, stop1 := s.self("one", "host")
	defer stop1()
	watch(t, "one, by chronyd's own bound", host1, time.Second)
}

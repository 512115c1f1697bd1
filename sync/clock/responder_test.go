package clock

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	ntp "github.com/facebook/time/ntp/protocol"
)

// serve answers NTP on this machine until the test ends.
func serve(t *testing.T, now func() time.Time) *Responder {
	t.Helper()
	r, err := Listen(t.Context(), "127.0.0.1:0", now, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- r.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = r.Close()
	})
	return r
}

// fake answers each NTP request by what edit makes of a correct answer; nothing if it returns nil.
func fake(t *testing.T, edit func(*ntp.Packet) *ntp.Packet) string {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Responder{now: time.Now}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, maxRequest)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			packet, err := r.reply(buf[:n], time.Now())
			if err != nil {
				continue
			}
			var p ntp.Packet
			if p.UnmarshalBinary(packet) != nil || edit(&p) == nil {
				continue
			}
			if packet, err = p.Bytes(); err == nil {
				_, _ = conn.WriteTo(packet, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn.LocalAddr().String()
}

func TestResponderAnswersAClient(t *testing.T) {
	r := serve(t, nil)
	s, err := queryNTP(t.Context(), r.Addr(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	local, wall, _ := readWall()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	if offset := wall - local; offset > s.hi()+ms || offset < s.lo()-ms || s.Distance != 0 {
		t.Errorf("the offset between this machine's clocks is %d, and the sample says %d to %d", offset, s.lo(), s.hi())
	}
	if st := r.Stats(); st.Requests != 1 || st.Answers != 1 || st.Invalid != 0 {
		t.Errorf("%+v", st)
	}
}

func TestResponderDoesNotAnswerWhatIsNoRequest(t *testing.T) {
	r := &Responder{now: time.Now}
	request := ntp.Packet{Settings: 4<<3 | 3}
	good, err := request.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.reply(good, time.Now()); err != nil {
		t.Errorf("a request: %v", err)
	}
	answer := append([]byte{4<<3 | 4}, good[1:]...) // two servers would answer each other for ever
	for name, packet := range map[string][]byte{"nothing": nil, "too short": good[:47], "an answer": answer} {
		if _, err := r.reply(packet, time.Now()); err == nil {
			t.Errorf("%s was answered", name)
		}
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	r := serve(t, nil)
	if _, err := Listen(t.Context(), r.Addr(), nil, nil); err == nil || !strings.Contains(err.Error(), "another NTP server") {
		t.Errorf("%v", err)
	}
}

// Each kind of bad server has a message of its own.
func TestQueryOfBadServers(t *testing.T) {
	gone, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := gone.LocalAddr().String()
	_ = gone.Close()
	for want, address := range map[string]string{
		"nothing answers NTP there":     nobody,
		"no answer within 50ms":         fake(t, func(*ntp.Packet) *ntp.Packet { return nil }),
		"invalid stratum":               fake(t, func(p *ntp.Packet) *ntp.Packet { p.Stratum = 16; return p }),
		"kiss of death":                 fake(t, func(p *ntp.Packet) *ntp.Packet { p.Stratum = 0; return p }),
		"invalid leap second":           fake(t, func(p *ntp.Packet) *ntp.Packet { p.Settings |= 0xc0; return p }),
		"didn't match request":          fake(t, func(p *ntp.Packet) *ntp.Packet { p.OrigTimeFrac++; return p }),
		"invalid dispersion":            fake(t, func(p *ntp.Packet) *ntp.Packet { p.RootDispersion = 20 << 16; return p }),
		"server clock ticked backwards": fake(t, func(p *ntp.Packet) *ntp.Packet { p.TxTimeSec -= 3; return p }),
	} {
		s, err := newNTPSource(address, Config{NTP: NTPConfig{Burst: 1, Timeout: 50 * time.Millisecond}}.complete().NTP, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		s.cfg.Timeout = 50 * time.Millisecond
		if want != "no answer within 50ms" {
			s.cfg.Timeout = time.Second
		}
		if err := s.poll(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), address) {
			t.Errorf("%v, expected %q of %s", err, want, address)
		}
		if s.at(localNow()).Known {
			t.Errorf("%s: something is known", want)
		}
	}
}

func TestQueryEndsWithItsContext(t *testing.T) {
	address := fake(t, func(*ntp.Packet) *ntp.Packet { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := queryNTP(ctx, address, time.Minute)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func FuzzResponder(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 48))
	f.Add(append([]byte{0x23}, make([]byte, 67)...))
	r := &Responder{now: time.Now}
	f.Fuzz(func(t *testing.T, request []byte) {
		answer, err := r.reply(request, time.Now())
		if err == nil && len(answer) > len(request) {
			t.Errorf("%d bytes are answered by %d", len(request), len(answer))
		}
	})
}

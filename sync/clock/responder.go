package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	ntp "github.com/facebook/time/ntp/protocol"
)

// Responder answers NTP requests (RFC 5905, client mode, versions 1 to 4) with the system's time: it makes a machine the hub,
// whose clock is the site's time. It claims no other reference, so its root delay and dispersion are 0, and its stratum is low
// enough that nobody takes it for a source of UTC by accident.
//
// github.com/facebook/time's responder is made to be a process of its own: it ends the process when an address can't be bound,
// has no way to be closed and puts addresses on interfaces. Its packets are used here, its server is not.
type Responder struct {
	conn *net.UDPConn
	now  func() time.Time
	log  *slog.Logger

	requests, answers, invalid atomic.Int64
}

// ResponderStratum is what the responder announces, as chrony's local mode does.
const ResponderStratum = 10

// responderID is the reference that the responder announces.
var responderID = binary.BigEndian.Uint32([]byte("SITE"))

// maxRequest is more than a request with extension fields and a signature needs.
const maxRequest = 1500

// Listen opens the UDP address HOST:PORT; port 0 is any free one. now is the clock to serve, nil the system's. The caller
// closes the responder.
func Listen(ctx context.Context, address string, now func() time.Time, log *slog.Logger) (*Responder, error) {
	r := &Responder{now: now, log: log}
	if now == nil {
		r.now = time.Now
	}
	if log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, fmt.Errorf("answer NTP: %w; is another NTP server running here, or the port below 1024 without the right to it?", err)
	}
	r.conn = conn.(*net.UDPConn)
	if now == nil { // the kernel's stamps are the system's time
		if err := stampArrivals(r.conn); err != nil {
			r.log.Info("the kernel doesn't stamp packets, which costs some precision", "err", err)
		}
	}
	return r, nil
}

// Addr is where it listens, HOST:PORT.
func (r *Responder) Addr() string { return r.conn.LocalAddr().String() }

// Close ends Serve.
func (r *Responder) Close() error { return r.conn.Close() }

// ResponderStats count packets.
type ResponderStats struct {
	Requests int64 `json:"requests"`
	Answers  int64 `json:"answers"`
	Invalid  int64 `json:"invalid"` // not a request of a client
}

// Stats returns the counts so far.
func (r *Responder) Stats() ResponderStats {
	return ResponderStats{Requests: r.requests.Load(), Answers: r.answers.Load(), Invalid: r.invalid.Load()}
}

// Serve answers until ctx ends or the responder is closed.
func (r *Responder) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = r.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf, oob := make([]byte, maxRequest), make([]byte, arrivalBytes)
	for {
		n, oobn, _, from, err := r.conn.ReadMsgUDPAddrPort(buf, oob)
		received := r.now()
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // such as an ICMP answer to an answer of ours
			r.log.Debug("receive an NTP request", "err", err)
			continue
		}
		if at, ok := arrival(oob[:oobn]); ok && at.Before(received) && received.Sub(at) < time.Second {
			received = at
		}
		r.requests.Add(1)
		if err := r.answer(buf[:n], received, from); err != nil {
			r.log.Debug("answer an NTP request", "from", from, "err", err)
		}
	}
}

func (r *Responder) answer(request []byte, received time.Time, to netip.AddrPort) error {
	packet, err := r.reply(request, received)
	if err != nil {
		r.invalid.Add(1)
		return err
	}
	if _, err := r.conn.WriteToUDPAddrPort(packet, to); err != nil {
		return err
	}
	r.answers.Add(1)
	return nil
}

// reply makes the answer to a request. It is no longer than the request, so that it is of no use to flood others.
func (r *Responder) reply(request []byte, received time.Time) ([]byte, error) {
	var q ntp.Packet
	// What stands behind the header is for servers that sign.
	if err := q.UnmarshalBinary(request[:min(len(request), ntp.PacketSizeBytes)]); err != nil {
		return nil, err
	}
	if !q.ValidSettingsFormat() {
		return nil, errors.New("not a request of a client")
	}
	const serverMode, precision = 4, -23 // 2^-23 s, 0.1 µs
	a := ntp.Packet{
		Settings: q.Settings&0x38 | serverMode, Stratum: ResponderStratum, Poll: q.Poll, Precision: precision,
		ReferenceID: responderID, OrigTimeSec: q.TxTimeSec, OrigTimeFrac: q.TxTimeFrac,
	}
	// "When was the reference last read?" It is the reference; clients want an answer that is in the past and not old.
	a.RefTimeSec, a.RefTimeFrac = ntp.Time(received.Truncate(16 * time.Second))
	a.RxTimeSec, a.RxTimeFrac = ntp.Time(received)
	a.TxTimeSec, a.TxTimeFrac = ntp.Time(r.now())
	return a.Bytes()
}

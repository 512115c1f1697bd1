package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// sender is the state of a Publisher's goroutine.
type sender struct {
	*Publisher
	flight []*outgoing // sent, oldest first
	again  []*outgoing // to be sent again, before anything pending
	window int         // how many may be in flight: one while it isn't known whether sending works
	wait   time.Duration
	since  time.Time // when sending stopped working; zero while it works
	resent int       // since then
	online chan nats.Status
}

const (
	firstWait = 20 * time.Millisecond
	lastWait  = 2 * time.Second
)

// run sends until ctx ends. The head of the flight decides: when it is acknowledged the next is looked at, when it fails
// everything unacknowledged is sent again in order, first one message alone, then, once that has arrived, many at a time.
func (p *Publisher) run(ctx context.Context) {
	defer close(p.done)
	s := &sender{Publisher: p, window: p.cfg.MaxInFlight, wait: firstWait}
	s.online = p.conn.nc.StatusChanged(nats.CONNECTED)
	defer p.conn.nc.RemoveStatusListener(s.online)
	for {
		s.fill()
		if len(s.flight) == 0 {
			select {
			case <-p.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		head := s.flight[0]
		if head.err != nil {
			if !s.fail(ctx, head.err) {
				return
			}
			continue
		}
		wake := p.wake
		if len(s.flight) >= s.window {
			wake = nil
		}
		select {
		case ack := <-head.future.Ok():
			s.flight = s.flight[1:]
			s.settle(head, ack, nil)
			s.left()
			s.works()
		case err := <-head.future.Err():
			head.err = err
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// fill sends while the window has room and sending works.
func (s *sender) fill() {
	for len(s.flight) < s.window {
		o := s.next()
		if o == nil {
			return
		}
		if o.sends++; o.sends > 1 {
			s.resent++
			s.mu.Lock()
			s.stats.Retried++
			s.mu.Unlock()
		}
		o.future, o.err = s.js.PublishMsgAsync(o.msg, jetstream.WithRetryAttempts(0))
		s.flight = append(s.flight, o)
		if o.err != nil {
			return
		}
	}
}

// next takes the next message to send, nil when there is none.
func (s *sender) next() *outgoing {
	if len(s.again) > 0 {
		o := s.again[0]
		s.again = s.again[1:]
		return o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return nil
	}
	o := s.pending[0]
	s.pending[0] = nil // so that its memory goes when it is acknowledged
	s.pending = s.pending[1:]
	return o
}

// works notes that a message has arrived.
func (s *sender) works() {
	s.window, s.wait = s.cfg.MaxInFlight, firstWait
	if !s.since.IsZero() {
		s.log.Info("publishing works again", "after", time.Since(s.since).Round(time.Millisecond), "resent", s.resent)
		s.since, s.resent = time.Time{}, 0
	}
}

// fail takes everything in flight back after the head has failed, drops what can't succeed, and waits before the next
// try. It returns false when ctx has ended.
func (s *sender) fail(ctx context.Context, err error) bool {
	var back []*outgoing
	transient := false
	for _, o := range s.flight {
		ack, err := o.outcome()
		if ack != nil || permanent(err) {
			s.settle(o, ack, err)
			continue
		}
		transient = transient || err != nil
		back = append(back, o)
	}
	s.flight = nil
	if !transient {
		// Only rejected messages have failed: the others are still on their way.
		s.flight = back
		s.left()
		return ctx.Err() == nil
	}
	s.again = append(back, s.again...)
	s.window = 1
	s.left()
	if s.since.IsZero() {
		s.since = time.Now()
		s.log.Warn("publishing fails, will try again", "subject", back[0].msg.Subject, "waiting", len(s.again), "error", err)
	}
	for len(s.online) > 0 {
		<-s.online
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	s.wait = min(2*s.wait, lastWait)
	select {
	case <-timer.C:
	case <-s.online:
	case <-ctx.Done():
		return false
	}
	return true
}

// outcome is what is known about the latest send: an acknowledgement, an error, or neither.
func (o *outgoing) outcome() (*jetstream.PubAck, error) {
	if o.err != nil {
		return nil, o.err
	}
	select {
	case ack := <-o.future.Ok():
		return ack, nil
	case err := <-o.future.Err():
		o.err = err
		return nil, err
	default:
		return nil, nil
	}
}

// settle takes a message out of the backlog: acknowledged where ack isn't nil, else rejected.
func (s *sender) settle(o *outgoing, ack *jetstream.PubAck, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ack != nil {
		s.stats.Acked++
		if ack.Duplicate {
			s.stats.Duplicate++
		}
	} else {
		s.stats.Dropped[DropRejected]++
		err = &RejectedError{Subject: o.msg.Subject, ID: o.msg.Header.Get(jetstream.MsgIDHeader), Err: err}
		if s.rejected == nil {
			s.rejected = err
		}
		s.log.Error("message dropped", "error", err)
	}
	s.stats.Backlog--
	s.stats.BacklogBytes -= int64(len(o.msg.Data))
}

// left tells those who wait that messages have left the backlog, and which is now the oldest.
func (s *sender) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.flight) > 0:
		s.oldest = s.flight[0].number
	case len(s.again) > 0:
		s.oldest = s.again[0].number
	case len(s.pending) > 0:
		s.oldest = s.pending[0].number
	default:
		s.oldest = s.stats.Accepted
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// RejectedError says that the server refuses a message for good.
type RejectedError struct {
	Subject, ID string
	Err         error
}

func (e *RejectedError) Error() string {
	text := fmt.Sprintf("publish %s, message %s: %v", e.Subject, e.ID, e.Err)
	if errors.Is(e.Err, nats.ErrMaxPayload) {
		text += ": raise max_payload in the server's configuration to 8MB"
	}
	return text
}

// Unwrap returns the server's error.
func (e *RejectedError) Unwrap() error { return e.Err }

// permanent reports whether sending again can't help. A stream that is missing, full or leaderless may come back.
func permanent(err error) bool {
	const (
		badRequest       = 10003
		messageTooLarge  = 10054
		headersMalformed = 10052
		sealed           = 10109
	)
	var api *jetstream.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode {
		case badRequest, messageTooLarge, headersMalformed, sealed:
			return true
		}
		return false
	}
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) || errors.Is(err, jetstream.ErrInvalidSubject)
}

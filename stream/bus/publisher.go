package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

// Full says what Publish does when the backlog is full.
type Full int

// What Publish may do with a message that doesn't fit.
const (
	Block Full = iota // wait: the sender slows down
	Drop              // count it, reason DropBacklog, and return ErrBacklogFull
)

// Reasons under which PublisherStats counts what was dropped.
const (
	DropBacklog  = "backlog_full" // no room, with Full = Drop
	DropTooLarge = "too_large"    // above wire.MaxMessage
	DropRejected = "rejected"     // the server refuses the message and will again
	DropClosed   = "closed"       // not acknowledged when the publisher was closed
)

// Errors of Publish.
var (
	// ErrBacklogFull means that the message was dropped because too many wait already.
	ErrBacklogFull = errors.New("publisher: backlog is full")
	// ErrPublisherClosed means that Close has been called.
	ErrPublisherClosed = errors.New("publisher: closed")
)

// PublisherConfig bounds a publisher. The zero value will do.
type PublisherConfig struct {
	MaxInFlight     int           // messages sent and not yet acknowledged; default 256
	MaxBacklog      int           // messages accepted and not yet acknowledged; default 4096
	MaxBacklogBytes int64         // the same in bytes of payload; default 256 MiB
	OnFull          Full          // Block or Drop
	AckTimeout      time.Duration // after which a message is sent again; default 5 s
	Logger          *slog.Logger  // default slog.Default
}

// PublisherStats counts what became of the messages since the publisher was made.
// Accepted = Acked + Backlog + Dropped under DropRejected and DropClosed.
type PublisherStats struct {
	Accepted     uint64
	Acked        uint64            // stored by the server, duplicates included
	Duplicate    uint64            // acknowledged as known already: an earlier send had arrived
	Retried      uint64            // sent again
	Dropped      map[string]uint64 // by reason
	Backlog      int               // accepted and neither acknowledged nor dropped
	BacklogBytes int64
}

// Publisher publishes to JetStream with message ids, many at a time, and sends again what isn't acknowledged, for as
// long as it takes. Messages are stored in the order of Publish, except that those in flight when a send fails may be
// overtaken by others of the same moment. It may be used by several goroutines. Close ends it.
type Publisher struct {
	conn *Conn
	js   jetstream.JetStream
	cfg  PublisherConfig
	log  *slog.Logger
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // capacity 1: pending isn't empty

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever a message leaves the backlog
	closed   bool
	pending  []*outgoing // accepted, not yet sent; the sender takes from the front
	oldest   uint64      // number of the oldest message in the backlog; accepted when it is empty
	stats    PublisherStats
	rejected error // the first since the last Flush
}

// outgoing is a message on its way.
type outgoing struct {
	number uint64 // counts accepted messages from 0
	msg    *nats.Msg
	future jetstream.PubAckFuture // of the latest send
	err    error                  // why the latest send failed at once
	sends  int
}

// NewPublisher makes a publisher on conn, which must outlive it.
func NewPublisher(conn *Conn, cfg PublisherConfig) (*Publisher, error) {
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = 256
	}
	if cfg.MaxBacklog <= 0 {
		cfg.MaxBacklog = 4096
	}
	if cfg.MaxBacklogBytes <= 0 {
		cfg.MaxBacklogBytes = 256 << 20
	}
	if cfg.AckTimeout <= 0 {
		cfg.AckTimeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	// Futures that the publisher gave up count until they time out, so the library's own bound stays out of the way.
	opts := []jetstream.JetStreamOpt{jetstream.WithPublishAsyncTimeout(cfg.AckTimeout), jetstream.WithPublishAsyncMaxPending(1 << 20)}
	newJS := func() (jetstream.JetStream, error) { return jetstream.New(conn.nc, opts...) }
	if domain := conn.js.Options().Domain; domain != "" {
		newJS = func() (jetstream.JetStream, error) { return jetstream.NewWithDomain(conn.nc, domain, opts...) }
	}
	js, err := newJS()
	if err != nil {
		return nil, fmt.Errorf("publisher: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Publisher{
		conn: conn, js: js, cfg: cfg, log: cfg.Logger,
		stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		stats: PublisherStats{Dropped: make(map[string]uint64)},
	}
	go p.run(ctx)
	return p, nil
}

// Publish accepts a message for subject, to be stored once however often it is sent under this id; an empty id switches
// that off. data belongs to the publisher from then on. Publish returns before the message is stored: Flush waits, Stats
// tells. When the backlog is full it waits for room until ctx ends, or drops, as configured.
func (p *Publisher) Publish(ctx context.Context, subject, id string, data []byte) error {
	if len(data) > wire.MaxMessage {
		p.mu.Lock()
		p.stats.Dropped[DropTooLarge]++
		p.mu.Unlock()
		return fmt.Errorf("publish %s: %d bytes, the limit is %d: send shorter batches", subject, len(data), wire.MaxMessage)
	}
	msg := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if id != "" {
		msg.Header.Set(jetstream.MsgIDHeader, id)
	}
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return ErrPublisherClosed
		}
		// A message larger than the whole bound still goes when it is alone.
		fits := p.stats.Backlog < p.cfg.MaxBacklog &&
			(p.stats.Backlog == 0 || p.stats.BacklogBytes+int64(len(data)) <= p.cfg.MaxBacklogBytes)
		if fits {
			p.pending = append(p.pending, &outgoing{number: p.stats.Accepted, msg: msg})
			p.stats.Accepted++
			p.stats.Backlog++
			p.stats.BacklogBytes += int64(len(data))
			p.mu.Unlock()
			select {
			case p.wake <- struct{}{}:
			default:
			}
			return nil
		}
		if p.cfg.OnFull == Drop {
			p.stats.Dropped[DropBacklog]++
			p.mu.Unlock()
			return ErrBacklogFull
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("publish %s: waiting for room in the backlog: %w", subject, ctx.Err())
		}
	}
}

// Flush waits until every message accepted before the call is acknowledged or dropped. It returns an error when ctx ends
// before, and the first rejection since the last Flush.
func (p *Publisher) Flush(ctx context.Context) error {
	p.mu.Lock()
	until := p.stats.Accepted
	for p.oldest < until && !p.closed {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			p.mu.Lock()
			n := until - p.oldest
			p.mu.Unlock()
			return fmt.Errorf("flush: %d messages not acknowledged: %w", n, ctx.Err())
		}
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	err := p.rejected
	p.rejected = nil
	if p.oldest < until {
		return errors.Join(ErrPublisherClosed, err)
	}
	return err
}

// Stats may be called at any time, after Close too.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Dropped = maps.Clone(s.Dropped)
	return s
}

// Close stops the publisher. Messages that aren't acknowledged are dropped, counted, and returned as an error: call Flush
// before. It may be called more than once.
func (p *Publisher) Close() error {
	p.stop()
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	// The library's reply subscription stays until the connection is closed: its clean-up races with its own start.
	p.closed = true
	left := p.stats.Backlog
	if left > 0 {
		p.stats.Dropped[DropClosed] += uint64(left)
	}
	p.stats.Backlog, p.stats.BacklogBytes, p.pending = 0, 0, nil
	close(p.changed)
	p.changed = make(chan struct{})
	if left > 0 {
		return fmt.Errorf("publisher: closed with %d messages not acknowledged", left)
	}
	return nil
}

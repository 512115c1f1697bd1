package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

// ConsumerConfig says what a durable consumer reads. Stream and Durable must be set.
type ConsumerConfig struct {
	Stream  string
	Durable string    // the name under which the server remembers what was handled; processes with one name share the work
	Filters []Subject // whose messages; none means all of the stream
	// Since is the time from which messages were stored, by the server's clock; zero means from the first one kept. It
	// counts when the consumer is made on the server; one that is there with another Since is an error.
	Since time.Time
	// InOrder has the server send a message only once the one before is acknowledged, so that the order of the stream
	// holds even when deliveries or acknowledgements are lost. It costs a round trip a message.
	InOrder bool
	// AckWait is how long the server waits for a consumer that died before another gets its messages; default 30 s. A
	// handler may take longer: the message is kept alive while it runs.
	AckWait time.Duration
	// Prefetch is how many messages are fetched ahead; default 32.
	Prefetch int
	// Backoff are the waits before a failed message is delivered again, the last one for all further failures; default
	// 100 ms, 1 s, 5 s, 30 s.
	Backoff []time.Duration
	// Poisoned is told of each message that was given up, if set, from the goroutine of Run.
	Poisoned func(*Message, error)
	Logger   *slog.Logger // default slog.Default
}

// ConsumerStats counts deliveries since the consumer was made.
type ConsumerStats struct {
	Handled     uint64 // acknowledged
	Failed      uint64 // given back, to be delivered again
	Poisoned    uint64 // given up: they can never be handled
	Redelivered uint64 // of all deliveries, those that weren't the first
}

// Handler handles a message. It returns nil once the message has had its effect for good: it is acknowledged then. An
// error that wraps wire.ErrInvalid gives the message up, any other has it delivered again after a back-off. A message may
// come again after it was handled, when the acknowledgement was lost: handlers look at its ID or content.
type Handler func(context.Context, *Message) error

// Consumer is a durable consumer: what it has handled is remembered by the server across restarts of both.
type Consumer struct {
	js   jetstream.JetStream
	cfg  ConsumerConfig
	spec jetstream.ConsumerConfig

	handled, failed, poisoned, redelivered atomic.Uint64
}

// NewConsumer makes the durable consumer on the server, or takes up the one that is there.
func NewConsumer(ctx context.Context, js jetstream.JetStream, cfg ConsumerConfig) (*Consumer, error) {
	if err := wire.CheckToken("durable", cfg.Durable); err != nil {
		return nil, fmt.Errorf("consumer of %s: %w", cfg.Stream, err)
	}
	if cfg.AckWait <= 0 {
		cfg.AckWait = 30 * time.Second
	}
	if cfg.Prefetch <= 0 {
		cfg.Prefetch = 32
	}
	if len(cfg.Backoff) == 0 {
		cfg.Backoff = []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Consumer{js: js, cfg: cfg, spec: jetstream.ConsumerConfig{
		Durable:       cfg.Durable,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       cfg.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: max(1000, 2*cfg.Prefetch),
	}}
	if !cfg.Since.IsZero() {
		c.spec.DeliverPolicy, c.spec.OptStartTime = jetstream.DeliverByStartTimePolicy, &cfg.Since
	}
	if cfg.InOrder {
		c.spec.MaxAckPending = 1
	}
	for _, f := range cfg.Filters {
		c.spec.FilterSubjects = append(c.spec.FilterSubjects, f.String())
	}
	if _, err := c.attach(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// RemoveConsumer makes the server forget a durable consumer and what it has handled. One that isn't there is no error.
func RemoveConsumer(ctx context.Context, js jetstream.JetStream, stream, durable string) error {
	err := js.DeleteConsumer(ctx, stream, durable)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("remove consumer %s of stream %s: %w", durable, stream, err)
	}
	return nil
}

// Stats may be called at any time.
func (c *Consumer) Stats() ConsumerStats {
	return ConsumerStats{
		Handled:     c.handled.Load(),
		Failed:      c.failed.Load(),
		Poisoned:    c.poisoned.Load(),
		Redelivered: c.redelivered.Load(),
	}
}

// Run gives messages to handle, one at a time, in the order of the stream except for what failed before, until ctx ends;
// then it returns nil, after the handler has returned. It survives restarts of the server and the loss of the consumer
// there, and returns an error only when the connection was closed.
func (c *Consumer) Run(ctx context.Context, handle Handler) error {
	log := c.cfg.Logger.With("stream", c.cfg.Stream, "durable", c.cfg.Durable)
	wait := c.cfg.Backoff[0]
	for ctx.Err() == nil {
		err := c.read(ctx, handle, func() { wait = c.cfg.Backoff[0] })
		if ctx.Err() != nil {
			break // the end was asked for; what it interrupted is no error
		}
		if errors.Is(err, jetstream.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("consume %s as %s: %w", c.cfg.Stream, c.cfg.Durable, err)
		}
		log.Warn("consumer interrupted, will try again", "wait", wait, "error", err)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, 5*time.Second)
	}
	return nil //nolint:nilerr // see above
}

// attach finds or makes the consumer on the server.
func (c *Consumer) attach(ctx context.Context) (jetstream.Consumer, error) {
	cons, err := c.js.CreateOrUpdateConsumer(ctx, c.cfg.Stream, c.spec)
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", c.cfg.Durable, c.cfg.Stream, err)
	}
	return cons, nil
}

// read handles messages until ctx ends or the server loses the consumer.
func (c *Consumer) read(ctx context.Context, handle Handler, progress func()) error {
	cons, err := c.attach(ctx)
	if err != nil {
		return err
	}
	// The limit in bytes is for one request; it must hold the largest message.
	iter, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(c.cfg.Prefetch, 2*wire.MaxMessage))
	if err != nil {
		return err
	}
	defer c.giveBack(iter)
	for {
		msg, err := iter.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if ctx.Err() != nil { // both were there
			_ = msg.Nak()
			return ctx.Err()
		}
		progress()
		c.deliver(ctx, msg, handle)
	}
}

// giveBack ends the iterator and returns what was fetched and not handled, so that it is delivered again at once and
// not after AckWait.
func (c *Consumer) giveBack(iter jetstream.MessagesContext) {
	iter.Drain()
	for {
		// While the server is away the end of the iterator takes long.
		msg, err := iter.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			break
		}
		_ = msg.Nak() // when the connection is gone AckWait does it
	}
	iter.Stop()
}

// deliver gives one message to the handler and tells the server what came of it. Failures to tell are harmless: the
// message comes again.
func (c *Consumer) deliver(ctx context.Context, msg jetstream.Msg, handle Handler) {
	m, err := newMessage(msg)
	if err != nil {
		c.cfg.Logger.Error("message without metadata ignored", "error", err)
		return
	}
	if m.Tries > 1 {
		c.redelivered.Add(1)
	}
	stop := keepAlive(msg, c.cfg.AckWait/3)
	err = handle(ctx, m)
	stop()
	switch {
	case err == nil:
		c.handled.Add(1)
		_ = msg.Ack()
	case errors.Is(err, wire.ErrInvalid):
		c.poisoned.Add(1)
		_ = msg.TermWithReason(wire.OneLine(err.Error()))
		c.cfg.Logger.Error("message given up", "stream", m.Stream, "sequence", m.Sequence, "subject", m.Subject, "id", m.ID, "error", err)
		if c.cfg.Poisoned != nil {
			c.cfg.Poisoned(m, err)
		}
	case ctx.Err() != nil:
		_ = msg.Nak() // the handler was interrupted: that is no failure
	default:
		c.failed.Add(1)
		delay := c.cfg.Backoff[min(int(m.Tries), len(c.cfg.Backoff))-1]
		_ = msg.NakWithDelay(delay)
		c.cfg.Logger.Warn("message failed, will come again", "stream", m.Stream, "sequence", m.Sequence, "id", m.ID,
			"tries", m.Tries, "wait", delay, "error", err)
	}
}

// keepAlive tells the server every so often that a message is being worked on, until stop is called.
func keepAlive(msg jetstream.Msg, every time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = msg.InProgress()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

// ErrNoTask means that no task waits to be taken.
var ErrNoTask = errors.New("no task")

// Queue is the work queue JOBS. Each task is taken by one of the processes that look for those of its subject, and comes
// to another when that one gives it back or is not heard of for AckWait.
type Queue struct {
	js      jetstream.JetStream
	ackWait time.Duration
	log     *slog.Logger

	mu        sync.Mutex
	consumers map[Subject]jetstream.Consumer
}

// QueueConfig says how tasks are taken. The zero value gives the defaults.
type QueueConfig struct {
	// AckWait is how long a process may be silent before its task goes to another; default 30 s. It is alive three times as
	// often. All processes of a queue have the same.
	AckWait time.Duration
	Logger  *slog.Logger // default slog.Default
}

// NewQueue returns the queue that EnsureStreams has made.
func NewQueue(js jetstream.JetStream, cfg QueueConfig) *Queue {
	if cfg.AckWait <= 0 {
		cfg.AckWait = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Queue{js: js, ackWait: cfg.AckWait, log: cfg.Logger, consumers: map[Subject]jetstream.Consumer{}}
}

// AckWait returns how long a process may be silent.
func (q *Queue) AckWait() time.Duration { return q.ackWait }

// Put adds a task. The same id again within the stream's window of duplicates (2 h) adds nothing.
func (q *Queue) Put(ctx context.Context, s Subject, id string, data []byte) error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("put task: %w", err)
	}
	if _, err := q.js.Publish(ctx, s.String(), data, jetstream.WithMsgID(id)); err != nil {
		return fmt.Errorf("put task %s: %w", id, err)
	}
	return nil
}

// Holds reports whether a task of the subject is in the queue, waiting or taken.
func (q *Queue) Holds(ctx context.Context, s Subject) (bool, error) {
	stream, err := q.js.Stream(ctx, StreamJobs)
	if err != nil {
		return false, fmt.Errorf("look for task: %w", err)
	}
	_, err = stream.GetLastMsgForSubject(ctx, s.String())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for task: %w", err)
	}
	return true, nil
}

// Take takes a task of the subject, or returns ErrNoTask at once when none waits. The caller ends it with Done, Later or
// GiveUp; until then the server is told that it is being worked on. One task of a subject is out at a time.
func (q *Queue) Take(ctx context.Context, s Subject) (*Task, error) {
	t, err := q.take(ctx, s)
	if err != nil && !errors.Is(err, ErrNoTask) {
		q.forget(s)
		return nil, fmt.Errorf("take task of %s: %w", s, err)
	}
	return t, err
}

func (q *Queue) take(ctx context.Context, s Subject) (*Task, error) {
	cons, err := q.consumer(ctx, s)
	if err != nil {
		return nil, err
	}
	batch, err := cons.FetchNoWait(1)
	if err != nil {
		return nil, err
	}
	msg, ok := <-batch.Messages()
	if !ok {
		if err := batch.Error(); err != nil {
			return nil, err
		}
		return nil, ErrNoTask
	}
	m, err := newMessage(msg)
	if err != nil {
		return nil, err
	}
	return &Task{Message: m, msg: msg, stop: sync.OnceFunc(keepAlive(msg, q.ackWait/3)), log: q.log}, nil
}

// consumer finds or makes the subject's consumer, which all processes share.
func (q *Queue) consumer(ctx context.Context, s Subject) (jetstream.Consumer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.consumers[s]; c != nil {
		return c, nil
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c, err := q.js.CreateOrUpdateConsumer(ctx, StreamJobs, jetstream.ConsumerConfig{
		Durable:       wire.Token(s.Site + "." + s.Cell + "." + s.Device),
		FilterSubject: s.String(),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       q.ackWait,
		MaxDeliver:    -1, // who takes a task counts, and says so when it gives it up
		MaxAckPending: 1,
	})
	if err != nil {
		return nil, err
	}
	q.consumers[s] = c
	return c, nil
}

// forget has the consumer made again: the server may have lost it.
func (q *Queue) forget(s Subject) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.consumers, s)
}

// Task is a task that was taken.
type Task struct {
	*Message
	msg  jetstream.Msg
	stop func() // ends the signs of life
	log  *slog.Logger
}

// Done removes the task from the queue. It returns when the server has; after an error the task may come again.
func (t *Task) Done(ctx context.Context) error {
	t.stop()
	if err := t.msg.DoubleAck(ctx); err != nil {
		return fmt.Errorf("task %s is done, but the hub does not know: %w", t.ID, err)
	}
	return nil
}

// Later gives the task back, to be taken again by any process after the delay. Should the server not hear of it, the
// task is given to another after AckWait.
func (t *Task) Later(delay time.Duration) {
	t.stop()
	if err := t.msg.NakWithDelay(delay); err != nil {
		t.log.Warn("the task comes again later than asked for", "id", t.ID, "error", err)
	}
}

// GiveUp removes a task that cannot be done. The server tells whoever listens to its advisories, with the reason.
func (t *Task) GiveUp(reason string) {
	t.stop()
	if err := t.msg.TermWithReason(wire.OneLine(reason)); err != nil {
		t.log.Warn("the task comes again although it was given up", "id", t.ID, "error", err)
	}
}

// Abandon leaves the task as a process does that ends without a word.
func (t *Task) Abandon() { t.stop() }

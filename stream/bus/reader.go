package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

// ReadConfig says which part of a stream to read.
type ReadConfig struct {
	Stream  string
	Filters []Subject // whose messages; none means all of the stream
	// Since is the time from which messages were stored, by the server's clock; zero means from the first one kept. What
	// was captured at a time is stored later, so a reader that wants a take starts at the take's beginning. Not with Newest.
	Since time.Time
	// Newest reads the newest message of each subject only, and those that come after.
	Newest bool
	// Follow reads on as messages arrive, until ctx ends. Otherwise Read ends once it has caught up.
	Follow bool
}

// Read gives the messages of a stream to handle in the stream's order, each once, gaps and restarts of the server
// notwithstanding; nothing is acknowledged or remembered. It ends with the handler's first error, with nil when it has
// caught up, or with ctx's error.
func Read(ctx context.Context, js jetstream.JetStream, cfg ReadConfig, handle Handler) error {
	err := read(ctx, js, cfg, handle)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		err = ctx.Err()
	}
	return fmt.Errorf("read %s: %w", cfg.Stream, err)
}

func read(ctx context.Context, js jetstream.JetStream, cfg ReadConfig, handle Handler) error {
	spec := jetstream.OrderedConsumerConfig{InactiveThreshold: time.Minute}
	for _, f := range cfg.Filters {
		spec.FilterSubjects = append(spec.FilterSubjects, f.String())
	}
	if cfg.Newest {
		spec.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	} else if !cfg.Since.IsZero() {
		spec.DeliverPolicy, spec.OptStartTime = jetstream.DeliverByStartTimePolicy, &cfg.Since
	}
	cons, err := js.OrderedConsumer(ctx, cfg.Stream, spec)
	if err != nil {
		return err
	}
	if !cfg.Follow && cons.CachedInfo().NumPending == 0 {
		return nil
	}
	iter, err := cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(64, 2*wire.MaxMessage))
	if err != nil {
		return err
	}
	// While the server is away Next doesn't look at a context, but it does end with the iterator.
	stop := context.AfterFunc(ctx, iter.Stop)
	defer func() {
		stop()
		iter.Stop()
	}()
	for {
		msg, err := iter.Next(jetstream.NextContext(ctx))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		m, err := newMessage(msg)
		if err != nil {
			return err
		}
		if err := handle(ctx, m); err != nil {
			return err
		}
		if !cfg.Follow && m.Pending == 0 {
			return nil
		}
	}
}

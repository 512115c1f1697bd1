package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

// player plays takes one after another.
type player struct {
	patience  patience
	conn      *bus.Conn
	out       *publishing
	publisher *bus.Publisher
	status    *status
	pipeline  *pipeline
	log       *slog.Logger
	takeDone  func(Source, error)
	played    map[string]bool // names of takes
}

// play runs the sources until there are no more or reading ends. What it makes is handed on under work, which lasts
// longer. The error holds those of all takes.
func (p *player) play(reading, work context.Context, sources <-chan Source) error {
	var failed error
	for {
		select {
		case <-p.pipeline.offered:
			p.pipeline.adopt()
			continue
		case <-reading.Done():
			return join(failed, reading.Err())
		case src, ok := <-sources:
			if !ok {
				return failed
			}
			p.status.playing(src.Take)
			err := p.take(reading, work, &src)
			if reading.Err() == nil {
				p.status.took(err)
			}
			if p.takeDone != nil {
				p.takeDone(src, err)
			}
			if err != nil && reading.Err() == nil {
				p.log.Error("take failed", "take", src.Take, "error", err)
			}
			failed = join(failed, err)
		}
	}
}

// take plays one source and waits until everything of it is stored.
func (p *player) take(reading, work context.Context, src *Source) error {
	if err := wire.CheckToken("take", src.Take); err != nil {
		return fmt.Errorf("source %s: %w", src.Capture.Source, err)
	}
	if p.played[src.Take] {
		return fmt.Errorf("source %s: take %q was played before: its messages would be taken for the other's, name it otherwise",
			src.Capture.Source, src.Take)
	}
	p.played[src.Take] = true
	src.Capture.Log = p.log
	err := p.pipeline.take(reading, work, src)
	if reading.Err() == nil {
		if e := p.settle(reading); reading.Err() == nil {
			return join(err, e)
		}
	}
	return join(err, p.hasten(work))
}

// settle waits until the take's pairs are decided and everything is stored at the hub. While the hub is away, and while
// there is progress, it goes on.
func (p *player) settle(ctx context.Context) error {
	for {
		before := p.progress()
		bounded, cancel := context.WithTimeout(ctx, p.patience.store)
		err := p.settleOnce(bounded)
		cancel()
		away := !p.conn.Stats().Connected
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) || !away && p.progress() == before {
			return err
		}
		p.log.Warn("the take waits to be stored", "hub_away", away, "error", err)
	}
}

func (p *player) settleOnce(ctx context.Context) error {
	if p.out.pairing != nil {
		if err := p.out.pairing.settle(ctx); err != nil {
			return err
		}
	}
	return p.publisher.Flush(ctx)
}

// progress counts what has been stored and decided.
func (p *player) progress() uint64 {
	n := p.publisher.Stats().Acked
	if p.out.pairing != nil {
		n += p.out.count.get("pair_batches")
	}
	return n
}

// hasten ends a take when the agent stops: pairs that can't be decided in half of the time that is left are given up.
func (p *player) hasten(work context.Context) error {
	if p.out.pairing != nil {
		bounded, cancel := context.WithTimeout(work, p.patience.stop/2)
		defer cancel()
		if p.out.pairing.settle(bounded) != nil {
			if err := p.out.pairing.stop(work); err != nil {
				return without(err, context.Canceled)
			}
		}
	}
	// What is not stored is told when the publisher is closed.
	return without(p.publisher.Flush(work), context.Canceled)
}

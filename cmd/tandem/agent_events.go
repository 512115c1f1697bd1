package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"tandem/agent"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/tas"
)

// recorder writes the events that a device publishes to a file, as the hub has stored them: what any other subscriber gets.
type recorder struct {
	file    *os.File
	conn    *bus.Conn
	filter  []bus.Subject
	before  uint64        // sequence number in the stream of the last event that was there before
	since   time.Time     // when that was stored
	written atomic.Uint64 // sequence number of the last event in the file
	news    chan struct{} // told when one has been written
	stop    context.CancelFunc
	done    chan error
}

// lastEvents is how long the end of an agent waits for the hub to tell what it has stored of it.
const lastEvents = 3 * time.Second

// recordEvents begins to append the devices' events to a file. The caller finishes the recorder.
func recordEvents(ctx context.Context, cfg agent.Config, path string, log *slog.Logger) (_ *recorder, err error) {
	r := &recorder{
		news: make(chan struct{}, 1), done: make(chan error, 1),
	}
	devices := cfg.Devices()
	for _, d := range devices {
		r.filter = append(r.filter, bus.Subject{Site: d.Site, Cell: d.Cell, Device: d.Device, Kind: bus.Segments})
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("--events: %w", err), r.close())
		}
	}()
	if r.file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return nil, err
	}
	if r.conn, err = bus.Connect(ctx, cfg.NATS.Config(devices[0].Device+" events", log)); err != nil {
		return nil, err
	}
	// The streams are made by the hub, but on a plain server by the first that comes.
	if err := bus.EnsureStreams(ctx, r.conn.JetStream(), bus.StreamsConfig{}); err != nil {
		return nil, err
	}
	if r.before, r.since, err = r.newest(ctx); err != nil {
		return nil, err
	}
	r.written.Store(r.before)
	following, stop := context.WithCancel(context.WithoutCancel(ctx)) // what is published while ctx ends counts, too
	r.stop = stop
	go func() {
		err := r.follow(following)
		if err != nil {
			log.Error("the events are not written any more", "file", path, "error", err)
		}
		r.done <- err
	}()
	return r, nil
}

// newest returns the sequence number of the device's newest event in the stream and when it was stored, zeros without one.
func (r *recorder) newest(ctx context.Context) (seq uint64, stored time.Time, err error) {
	err = bus.Read(ctx, r.conn.JetStream(), bus.ReadConfig{Stream: bus.StreamSegments, Filters: r.filter, Newest: true},
		func(_ context.Context, m *bus.Message) error {
			seq, stored = m.Sequence, m.Stored
			return nil
		})
	return seq, stored, err
}

func (r *recorder) follow(ctx context.Context) error {
	err := bus.Read(ctx, r.conn.JetStream(), bus.ReadConfig{Stream: bus.StreamSegments, Filters: r.filter, Since: r.since, Follow: true},
		func(_ context.Context, m *bus.Message) error {
			if m.Sequence <= r.before {
				return nil
			}
			e, err := wire.DecodeSegmentEvent(m.Data)
			if err != nil {
				return err
			}
			event := e.FileEvent()
			if err := tas.WriteEvent(r.file, &event); err != nil {
				return err
			}
			r.written.Store(m.Sequence)
			select {
			case r.news <- struct{}{}:
			default:
			}
			return nil
		})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to end
	}
	return err
}

// finish waits until all that the hub has stored is in the file, and closes it. The agent has ended.
func (r *recorder) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastEvents)
	defer cancel()
	last, _, err := r.newest(ctx)
	var ended error
	for ended == nil && err == nil && r.written.Load() < last {
		select {
		case <-r.news:
		case ended = <-r.done:
			r.done <- nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		err = fmt.Errorf("the hub did not tell all that it has stored: %w", err)
	}
	r.stop()
	err = errors.Join(ended, <-r.done, err, r.close())
	if err != nil {
		err = fmt.Errorf("--events: %w", err)
	}
	return err
}

func (r *recorder) close() (err error) {
	if r.conn != nil {
		r.conn.Close()
	}
	if r.file != nil {
		err = errors.Join(r.file.Sync(), r.file.Close())
	}
	return err
}

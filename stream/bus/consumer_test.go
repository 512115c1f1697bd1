package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

func newConsumer(t *testing.T, c *Conn, cfg ConsumerConfig) *Consumer {
	t.Helper()
	cfg.Stream, cfg.Durable, cfg.Logger = StreamPairs, "trainer", quiet
	cons, err := NewConsumer(testContext(t), c.JetStream(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return cons
}

func TestDurableConsumerResumesAcrossRunsAndServerRestarts(t *testing.T) {
	store := t.TempDir()
	s := startServer(t, ServerConfig{StoreDir: store, Listen: "127.0.0.1:0"})
	c := connect(t, Config{URLs: []string{s.URL()}})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 100)
	flush(t, p)

	seen := make(map[string]int)
	// runUntil consumes until n different messages have been seen.
	runUntil := func(n int) {
		t.Helper()
		ctx, cancel := context.WithCancel(testContext(t))
		defer cancel()
		cons := newConsumer(t, c, ConsumerConfig{})
		err := cons.Run(ctx, func(_ context.Context, m *Message) error {
			seen[m.ID]++
			if len(seen) == n {
				cancel()
			}
			return nil
		})
		if err != nil || len(seen) != n {
			t.Fatalf("saw %d messages, want %d: %v", len(seen), n, err)
		}
	}
	runUntil(30)
	runUntil(60)

	// A consumer that is running while the server restarts goes on.
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	at80, done := make(chan struct{}), make(chan error, 1)
	cons := newConsumer(t, c, ConsumerConfig{})
	go func() {
		done <- cons.Run(ctx, func(_ context.Context, m *Message) error {
			seen[m.ID]++
			switch len(seen) {
			case 80:
				close(at80)
			case 200:
				cancel()
			}
			return nil
		})
	}()
	<-at80
	addr := s.URL()[len("nats://"):]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	startServer(t, ServerConfig{StoreDir: store, Listen: addr})
	publish(t, p, 100, 200)
	flush(t, p)
	if err := <-done; err != nil || len(seen) != 200 {
		t.Fatalf("saw %d messages, want 200: %v", len(seen), err)
	}
	twice := 0
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	if twice > 30 { // acknowledgements lost in the crash, no more than were in flight
		t.Errorf("%d messages came more than once", twice)
	}
}

func TestFailedMessageComesAgainAndPoisonDoesNot(t *testing.T) {
	_, c := site(t)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	p := newPublisher(t, c, PublisherConfig{})
	batch := &wire.SegmentEvent{}
	_, invalid := wire.Encode(batch)
	for _, text := range []string{"good-1", "poison", "fails-twice", "good-2"} {
		if err := p.Publish(ctx, pairSubject, text, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	var poisoned []string
	cons := newConsumer(t, c, ConsumerConfig{
		Backoff: []time.Duration{time.Millisecond},
		Poisoned: func(m *Message, err error) {
			poisoned = append(poisoned, fmt.Sprintf("%s %t", m.ID, errors.Is(err, wire.ErrInvalid)))
		},
	})
	tries := make(map[string]int)
	err := cons.Run(ctx, func(_ context.Context, m *Message) error {
		tries[m.ID]++
		switch {
		case m.ID == "poison":
			return fmt.Errorf("read pairs: %w", invalid)
		case m.ID == "fails-twice" && m.Tries < 3:
			return errors.New("the archive's disk is busy")
		}
		if tries["fails-twice"] == 3 && tries["good-2"] == 1 {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"good-1": 1, "poison": 1, "fails-twice": 3, "good-2": 1}; fmt.Sprint(tries) != fmt.Sprint(want) {
		t.Errorf("deliveries %v, want %v", tries, want)
	}
	if len(poisoned) != 1 || poisoned[0] != "poison true" {
		t.Errorf("reported as poison: %q", poisoned)
	}
	if got, want := cons.Stats(), (ConsumerStats{Handled: 3, Failed: 2, Poisoned: 1, Redelivered: 2}); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
	// The poison is gone for a consumer that comes later under the same name, too.
	info, err := c.JetStream().Consumer(testContext(t), StreamPairs, "trainer")
	if err != nil {
		t.Fatal(err)
	}
	if i := info.CachedInfo(); i.NumPending != 0 || i.NumAckPending > 1 {
		t.Errorf("%d messages pending, %d not acknowledged", i.NumPending, i.NumAckPending)
	}
}

func TestSlowHandlerKeepsItsMessage(t *testing.T) {
	_, c := site(t)
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 1)
	flush(t, p)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	const ackWait = 300 * time.Millisecond
	cons := newConsumer(t, c, ConsumerConfig{AckWait: ackWait})
	rival := newConsumer(t, c, ConsumerConfig{AckWait: ackWait})
	rivalDone := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		<-started
		rivalDone <- rival.Run(ctx, func(context.Context, *Message) error { return errors.New("delivered twice") })
	}()
	// What the consumer tells the server about its messages.
	told, err := c.NATS().SubscribeSync("$JS.ACK.>")
	if err != nil {
		t.Fatal(err)
	}
	err = cons.Run(ctx, func(context.Context, *Message) error {
		close(started)
		for range 5 { // at a third of AckWait each
			if m, err := told.NextMsgWithContext(ctx); err != nil || string(m.Data) != "+WPI" {
				return fmt.Errorf("told %q: %w", m.Data, err)
			}
		}
		cancel()
		return nil
	})
	if err := errors.Join(err, <-rivalDone); err != nil {
		t.Fatal(err)
	}
	if n := rival.Stats().Failed; n != 0 {
		t.Errorf("the message was given to another consumer %d times while it was worked on", n)
	}
}

func TestConsumerErrors(t *testing.T) {
	_, c := site(t)
	_, err := NewConsumer(testContext(t), c.JetStream(), ConsumerConfig{Stream: "NONE", Durable: "d"})
	oneLine(t, err, "NONE", "stream not found")
	_, err = NewConsumer(testContext(t), c.JetStream(), ConsumerConfig{Stream: StreamPairs, Durable: "a.b"})
	oneLine(t, err, "durable", "not a token")
}

func TestReadHistory(t *testing.T) {
	_, c := site(t)
	ctx := testContext(t)
	p := newPublisher(t, c, PublisherConfig{})
	device := func(i int) Subject {
		return Subject{Site: "plant", Cell: "c1", Device: fmt.Sprintf("exo-%d", i%2), Kind: Teacher}
	}
	var middle time.Time
	read := func(cfg ReadConfig) (ids []string, last time.Time) {
		t.Helper()
		cfg.Stream = StreamTeacher
		err := Read(ctx, c.JetStream(), cfg, func(_ context.Context, m *Message) error {
			ids, last = append(ids, m.ID), m.Stored
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, last
	}
	if ids, _ := read(ReadConfig{}); len(ids) != 0 {
		t.Errorf("an empty stream gave %q", ids)
	}
	for i := range 20 {
		if i == 10 {
			flush(t, p)
			_, last := read(ReadConfig{})
			middle = last.Add(1)
		}
		if err := p.Publish(ctx, device(i).String(), fmt.Sprint(i), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, p)
	if ids, _ := read(ReadConfig{Filters: []Subject{device(1)}}); fmt.Sprint(ids) != "[1 3 5 7 9 11 13 15 17 19]" {
		t.Errorf("one device: got %s", ids)
	}
	if ids, _ := read(ReadConfig{Filters: []Subject{device(0)}, Since: middle}); fmt.Sprint(ids) != "[10 12 14 16 18]" {
		t.Errorf("one device from the middle: got %s", ids)
	}
	if ids, _ := read(ReadConfig{Filters: []Subject{{Cell: "c2", Kind: Teacher}}}); len(ids) != 0 {
		t.Errorf("another cell: got %q", ids)
	}

	followed := 0
	follow, cancel := context.WithCancel(ctx)
	err := Read(follow, c.JetStream(), ReadConfig{Stream: StreamTeacher, Follow: true}, func(context.Context, *Message) error {
		followed++
		if followed == 20 {
			return p.Publish(ctx, device(0).String(), "later", []byte("x"))
		}
		if followed == 21 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || followed != 21 {
		t.Errorf("following: %d messages, %v", followed, err)
	}

	broken := errors.New("broken")
	err = Read(ctx, c.JetStream(), ReadConfig{Stream: StreamTeacher}, func(context.Context, *Message) error { return broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the handler's error", err)
	}
	err = Read(ctx, c.JetStream(), ReadConfig{Stream: "NONE"}, nil)
	oneLine(t, err, "NONE", "stream not found")
}

func TestEverythingEndsWhileTheServerIsAway(t *testing.T) {
	s := startServer(t, ServerConfig{Listen: "127.0.0.1:0"})
	c := connect(t, Config{URLs: []string{s.URL()}})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 50)
	flush(t, p)
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	reading, consuming := make(chan struct{}), make(chan struct{})
	readDone, consumeDone := make(chan error, 1), make(chan error, 1)
	go func() {
		readDone <- Read(ctx, c.JetStream(), ReadConfig{Stream: StreamPairs, Follow: true}, func(_ context.Context, m *Message) error {
			if m.Pending == 0 {
				close(reading)
			}
			return nil
		})
	}()
	cons := newConsumer(t, c, ConsumerConfig{})
	go func() {
		consumeDone <- cons.Run(ctx, func(ctx context.Context, _ *Message) error {
			close(consuming)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-reading
	<-consuming
	gone := c.NATS().StatusChanged(nats.RECONNECTING)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-gone
	publish(t, p, 50, 60)
	cancel()
	if err := <-readDone; !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if err := <-consumeDone; err != nil {
		t.Errorf("consume: %v", err)
	}
	if err := p.Close(); err == nil || p.Stats().Dropped[DropClosed] != 10 {
		t.Errorf("publisher: %v, %+v", err, p.Stats())
	}
}

func TestRunEndsWithTheConnection(t *testing.T) {
	s := startServer(t, ServerConfig{})
	c := connect(t, Config{InProcess: s})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	cons := newConsumer(t, c, ConsumerConfig{})
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 1)
	err := cons.Run(testContext(t), func(context.Context, *Message) error {
		go c.Close()
		return nil
	})
	if !errors.Is(err, jetstream.ErrConnectionClosed) && !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v", err)
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

var pairSubject = Subject{Site: "plant", Cell: "c1", Device: "rig-1", Kind: Pairs}.String()

// pairsStored counts what the stream of pairs holds.
func pairsStored(t *testing.T, c *Conn) int {
	t.Helper()
	s, err := c.JetStream().Stream(testContext(t), StreamPairs)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.State.Msgs)
}

func publish(t *testing.T, p *Publisher, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		id := wire.MessageID("rig-1", "take-1", uint64(i))
		if err := p.Publish(testContext(t), pairSubject, id, fmt.Appendf(nil, "message %d", i)); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t *testing.T, p *Publisher) {
	t.Helper()
	if err := p.Flush(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func TestResendIsADuplicateByConstruction(t *testing.T) {
	_, c := site(t)
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 500)
	flush(t, p)
	publish(t, p, 0, 500)
	flush(t, p)
	if n := pairsStored(t, c); n != 500 {
		t.Errorf("%d messages stored, want 500", n)
	}
	if s := p.Stats(); s.Accepted != 1000 || s.Acked != 1000 || s.Duplicate != 500 || s.Retried != 0 || s.Backlog != 0 || s.BacklogBytes != 0 {
		t.Errorf("counters: %+v", s)
	}
}

func TestServerRestartWhilePublishingLosesNothing(t *testing.T) {
	store := t.TempDir()
	s := startServer(t, ServerConfig{StoreDir: store, Listen: "127.0.0.1:0"})
	addr := s.URL()[len("nats://"):]
	c := connect(t, Config{URLs: []string{s.URL()}})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	const n = 3000
	p := newPublisher(t, c, PublisherConfig{MaxInFlight: 64})
	half := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for i := range n {
			if i == n/2 {
				close(half)
			}
			id := wire.MessageID("rig-1", "take-1", uint64(i))
			if err := p.Publish(t.Context(), pairSubject, id, fmt.Appendf(nil, "message %d", i)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	<-half
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	startServer(t, ServerConfig{StoreDir: store, Listen: addr})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	if got := pairsStored(t, c); got != n {
		t.Errorf("%d messages stored, want %d", got, n)
	}
	stats := p.Stats()
	if stats.Acked != n || stats.Backlog != 0 || len(stats.Dropped) != 0 || stats.Retried == 0 {
		t.Errorf("counters: %+v", stats)
	}
	if cs := c.Stats(); !cs.Connected || cs.Disconnects == 0 || cs.Reconnects == 0 {
		t.Errorf("connection: %+v", cs)
	}
}

func TestFullBacklogBlocksOrDrops(t *testing.T) {
	s := startServer(t, ServerConfig{})
	c := connect(t, Config{InProcess: s})
	ctx := testContext(t)
	// Without a stream nothing is acknowledged.
	blocking := newPublisher(t, c, PublisherConfig{MaxBacklog: 2})
	publish(t, blocking, 0, 2)
	soon, cancel := context.WithCancel(ctx)
	blocked := make(chan error, 1)
	go func() { blocked <- blocking.Publish(soon, pairSubject, "third", []byte("x")) }()
	select {
	case err := <-blocked:
		t.Fatalf("third message: %v, want it to wait", err)
	default:
	}
	cancel()
	if err := <-blocked; !errors.Is(err, context.Canceled) {
		t.Errorf("third message: %v, want %v", err, context.Canceled)
	}

	dropping := newPublisher(t, c, PublisherConfig{MaxBacklogBytes: 10, OnFull: Drop})
	if err := dropping.Publish(ctx, pairSubject, "large", make([]byte, 11)); err != nil {
		t.Errorf("a single message above the bound: %v", err)
	}
	if err := dropping.Publish(ctx, pairSubject, "small", make([]byte, 1)); !errors.Is(err, ErrBacklogFull) {
		t.Errorf("got %v, want %v", err, ErrBacklogFull)
	}
	if got := dropping.Stats().Dropped[DropBacklog]; got != 1 {
		t.Errorf("%d messages counted as dropped, want 1", got)
	}

	// Once the stream is there, what waited arrives.
	if err := EnsureStreams(ctx, c.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	flush(t, blocking)
	flush(t, dropping)
	if n := pairsStored(t, c); n != 3 {
		t.Errorf("%d messages stored, want 3", n)
	}
}

func TestRejectedMessageIsCountedAndTheRestArrives(t *testing.T) {
	s := startServer(t, ServerConfig{})
	c := connect(t, Config{InProcess: s})
	ctx := testContext(t)
	_, err := c.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: StreamPairs, Subjects: []string{pairSubject}, MaxMsgSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 3)
	if err := p.Publish(ctx, pairSubject, "large", make([]byte, 200)); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 3, 6)
	var rejected *RejectedError
	if err := p.Flush(ctx); !errors.As(err, &rejected) || rejected.ID != "large" {
		t.Errorf("flush: %v, want the rejection of message large", err)
	}
	flush(t, p) // is told once
	if st := p.Stats(); st.Acked != 6 || st.Dropped[DropRejected] != 1 || st.Retried != 0 {
		t.Errorf("counters: %+v", st)
	}
	if err := p.Publish(ctx, pairSubject, "", make([]byte, wire.MaxMessage+1)); err == nil {
		t.Error("a message above the limit was accepted")
	}
	if got := p.Stats().Dropped[DropTooLarge]; got != 1 {
		t.Errorf("%d messages counted as too large, want 1", got)
	}
}

func TestCloseCountsWhatWasNotAcknowledged(t *testing.T) {
	s := startServer(t, ServerConfig{})
	c := connect(t, Config{InProcess: s})
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 7)
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if err := p.Flush(ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flush: %v, want it to time out", err)
	}
	if err := p.Close(); err == nil {
		t.Error("closing with messages left: no error")
	}
	if got := p.Stats(); got.Dropped[DropClosed] != 7 || got.Backlog != 0 {
		t.Errorf("counters: %+v", got)
	}
	if err := p.Publish(t.Context(), pairSubject, "", nil); !errors.Is(err, ErrPublisherClosed) {
		t.Errorf("publish: %v, want %v", err, ErrPublisherClosed)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestServerThatTakesSmallMessagesOnly(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(conf, []byte("listen: \"127.0.0.1:-1\"\nmax_payload: 1KB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, ServerConfig{ConfigFile: conf})
	c := connect(t, Config{URLs: []string{s.URL()}})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 2)
	if err := p.Publish(testContext(t), pairSubject, "large", make([]byte, 2000)); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 2, 4)
	oneLine(t, p.Flush(testContext(t)), "message large", "maximum payload exceeded", "max_payload")
	if got := p.Stats(); got.Acked != 4 || got.Dropped[DropRejected] != 1 {
		t.Errorf("counters: %+v", got)
	}
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// consume runs a consumer until it has handled the message last, and returns the ids in the order of the handler's calls.
func consume(t *testing.T, c *Conn, cfg ConsumerConfig, last string, fail func(*Message) error) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()
	cfg.Stream, cfg.Durable, cfg.Logger = StreamPairs, "rig-1", quiet
	cons, err := NewConsumer(ctx, c.JetStream(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	err = cons.Run(ctx, func(_ context.Context, m *Message) error {
		ids = append(ids, strings.TrimPrefix(m.ID, "rig-1/take-1/"))
		if err := fail(m); err != nil {
			return err
		}
		if ids[len(ids)-1] == last {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func handled(*Message) error { return nil }

func TestInOrderConsumerKeepsTheOrderWhenAMessageComesAgain(t *testing.T) {
	_, c := site(t)
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 6)
	flush(t, p)
	got := consume(t, c, ConsumerConfig{InOrder: true, Backoff: []time.Duration{time.Millisecond}}, "5", func(m *Message) error {
		if strings.HasSuffix(m.ID, "/2") && m.Tries < 3 {
			return errors.New("not now")
		}
		return nil
	})
	if want := "[0 1 2 2 2 3 4 5]"; fmt.Sprint(got) != want {
		t.Errorf("handled %v, want %s", got, want)
	}
}

func TestConsumerBeginsWhereItIsTold(t *testing.T) {
	_, c := site(t)
	p := newPublisher(t, c, PublisherConfig{})
	publish(t, p, 0, 3)
	flush(t, p)
	middle := time.Now()
	publish(t, p, 3, 6)
	flush(t, p)
	since := ConsumerConfig{Since: middle}
	if got := consume(t, c, since, "5", handled); fmt.Sprint(got) != "[3 4 5]" {
		t.Errorf("since the middle: %v", got)
	}
	for range 2 { // the second: one that isn't there
		if err := RemoveConsumer(testContext(t), c.JetStream(), StreamPairs, "rig-1"); err != nil {
			t.Fatal(err)
		}
	}
	if got := consume(t, c, ConsumerConfig{}, "5", handled); fmt.Sprint(got) != "[0 1 2 3 4 5]" {
		t.Errorf("from the start, after it was removed: %v", got)
	}
}

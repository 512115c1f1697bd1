package bus

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

var tasks = Subject{Site: "plant", Cell: "cell-1", Device: "line", Kind: Jobs}

// take waits until a task can be taken.
func take(t *testing.T, q *Queue, s Subject) *Task {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		task, err := q.Take(ctx, s)
		if err == nil {
			return task
		}
		if !errors.Is(err, ErrNoTask) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
}

func none(t *testing.T, q *Queue, s Subject) {
	t.Helper()
	if task, err := q.Take(testContext(t), s); !errors.Is(err, ErrNoTask) {
		t.Fatalf("took %+v, %v", task, err)
	}
}

func TestQueue(t *testing.T) {
	ctx := testContext(t)
	s, c := site(t)
	a, b := NewQueue(c.JetStream(), QueueConfig{Logger: quiet}), NewQueue(connect(t, Config{InProcess: s, Name: "b"}).JetStream(), QueueConfig{Logger: quiet})
	other := tasks
	other.Cell = "cell-2"
	none(t, a, tasks)
	for _, q := range []*Queue{a, b} { // both see the same work
		if err := q.Put(ctx, tasks, "line/cell-1/1", []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	one := take(t, a, tasks)
	if string(one.Data) != "one" || one.ID != "line/cell-1/1" || one.Tries != 1 {
		t.Errorf("got %+v", one.Message)
	}
	none(t, b, tasks)
	none(t, b, other)
	one.Later(0)
	again := take(t, b, tasks)
	if again.Tries != 2 || again.ID != one.ID {
		t.Errorf("got %+v", again.Message)
	}
	if held, err := a.Holds(ctx, tasks); err != nil || !held {
		t.Errorf("the queue holds the task: %v, %v", held, err)
	}
	if err := again.Done(ctx); err != nil {
		t.Fatal(err)
	}
	if held, err := a.Holds(ctx, tasks); err != nil || held {
		t.Errorf("the queue holds the task that is done: %v, %v", held, err)
	}
	none(t, a, tasks)
	// Tasks of two subjects go to different processes; one that is given up is gone, and told of.
	sub, err := c.NATS().SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.JOBS.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Subject{tasks, other} {
		if err := a.Put(ctx, s, "2 of "+s.Cell, nil); err != nil {
			t.Fatal(err)
		}
	}
	x, y := take(t, a, tasks), take(t, b, other)
	x.GiveUp("it is\nbad")
	if err := y.Done(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsgWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	none(t, a, tasks)
}

// TestQueueTakeover: a process that ends without a word loses its task to another, one that is alive keeps it.
func TestQueueTakeover(t *testing.T) {
	ctx := testContext(t)
	_, c := site(t)
	const wait = 300 * time.Millisecond
	a, b := NewQueue(c.JetStream(), QueueConfig{AckWait: wait, Logger: quiet}), NewQueue(c.JetStream(), QueueConfig{AckWait: wait, Logger: quiet})
	if err := a.Put(ctx, tasks, "1", nil); err != nil {
		t.Fatal(err)
	}
	one := take(t, a, tasks)
	after := time.NewTimer(3 * wait)
	<-after.C
	none(t, b, tasks) // a is alive
	one.Abandon()
	two := take(t, b, tasks)
	if two.Tries != 2 {
		t.Errorf("%d tries", two.Tries)
	}
	if err := two.Done(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestQueueSurvivesTheLossOfItsConsumer: it is made again, and what was in the queue still is.
func TestQueueSurvivesTheLossOfItsConsumer(t *testing.T) {
	ctx := testContext(t)
	_, c := site(t)
	q := NewQueue(c.JetStream(), QueueConfig{Logger: quiet})
	none(t, q, tasks)
	if err := q.Put(ctx, tasks, "1", nil); err != nil {
		t.Fatal(err)
	}
	stream, err := c.JetStream().Stream(ctx, StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if r := stream.CachedInfo().Config.Retention; r != jetstream.WorkQueuePolicy {
		t.Errorf("retention %v", r)
	}
	for name := range stream.ConsumerNames(ctx).Name() {
		if err := stream.DeleteConsumer(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Take(ctx, tasks); err == nil || errors.Is(err, ErrNoTask) {
		t.Fatalf("a consumer that is gone: %v", err)
	}
	task, err := q.Take(ctx, tasks)
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Done(ctx); err != nil {
		t.Fatal(err)
	}
}

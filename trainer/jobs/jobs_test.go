package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tandem/stream/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// hub is a server with the streams, and boards of several processes on it.
type hub struct {
	server *bus.Server
	conn   *bus.Conn
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func startHub(t *testing.T) *hub {
	t.Helper()
	s, err := bus.StartServer(limit(t), bus.ServerConfig{StoreDir: t.TempDir(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &hub{server: s}
	h.conn = h.connect(t)
	if err := bus.EnsureStreams(limit(t), h.conn.JetStream(), bus.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hub) connect(t *testing.T) *bus.Conn {
	t.Helper()
	c, err := bus.Connect(limit(t), bus.Config{InProcess: h.server, Name: "test", Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ackWait of the tests' boards.
const ackWait = 300 * time.Millisecond

func (h *hub) board(t *testing.T, owner string) *Board {
	t.Helper()
	b, err := Open(limit(t), h.connect(t).JetStream(), Config{Site: "plant", Line: "line", Owner: owner, AckWait: ackWait, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func takes(names ...string) []Take {
	var list []Take
	for _, n := range names {
		list = append(list, Take{"rig-1", n, 3})
	}
	return list
}

var cells = []string{"a", "b"}

// take waits for a job.
func (b *Board) wait(t *testing.T) *Claim {
	t.Helper()
	ctx := limit(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := b.Take(ctx, cells)
		if err == nil {
			return c
		}
		if !errors.Is(err, ErrNone) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
}

func (b *Board) none(t *testing.T) {
	t.Helper()
	if c, err := b.Take(limit(t), cells); !errors.Is(err, ErrNone) {
		t.Fatalf("took %+v, %v", c, err)
	}
}

func (b *Board) propose(t *testing.T, cell string, names ...string) {
	t.Helper()
	if err := b.Propose(limit(t), cell, takes(names...)); err != nil {
		t.Fatal(err)
	}
}

func (b *Board) job(t *testing.T, cell string) Job {
	t.Helper()
	j, err := b.Last(limit(t), cell)
	if err != nil || j == nil {
		t.Fatalf("%+v, %v", j, err)
	}
	return *j
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOneJob: whatever several processes see at once becomes one job, which one of them does.
func TestOneJob(t *testing.T) {
	h := startHub(t)
	var group sync.WaitGroup
	boards := []*Board{h.board(t, "x"), h.board(t, "y"), h.board(t, "z")}
	for i, b := range boards {
		group.Go(func() {
			if err := b.Propose(t.Context(), "a", takes("t1", "t2", fmt.Sprint("t", 3+i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	c := boards[0].wait(t)
	boards[1].none(t)
	boards[1].propose(t, "a", "t9") // not while it is open
	boards[2].none(t)
	if j := boards[2].job(t, "a"); j.Number != 1 || j.Status != Running || j.Owner != "x" || j.Attempts != 1 || len(j.Takes) != 3 {
		t.Errorf("%+v", j)
	}
	ok(t, c.Reserve(t.Context(), "line-0002", []string{"rig-1"}, map[string]int{"better": 1}))
	ok(t, c.Close(t.Context(), Released, nil))
	if j := boards[1].job(t, "a"); j.Status != Released || j.Release != "line-0002" || string(j.Report) != `{"better":1}` || !j.Closed() {
		t.Errorf("%+v", j)
	}
	boards[1].propose(t, "a", "t1", "t2") // nothing new in these
	boards[0].none(t)
	boards[1].propose(t, "a", "t1", "t10")
	boards[2].propose(t, "b", "t1")
	first, second := boards[0].wait(t), boards[1].wait(t)
	if first.Job.ID() != "line/a/2" || second.Job.ID() != "line/b/1" {
		t.Errorf("jobs %s and %s", first.Job.ID(), second.Job.ID())
	}
	ok(t, first.Close(t.Context(), Rejected, "not shown"))
	ok(t, second.Fail(t.Context(), errors.New("no pairs\nin them")))
	if j := boards[1].job(t, "b"); j.Status != Failed || j.Error != "no pairs in them" {
		t.Errorf("%+v", j)
	}
}

// TestTakeover: who ends without a word loses the job to another, and can't release any more if it comes back.
func TestTakeover(t *testing.T) {
	h := startHub(t)
	x, y := h.board(t, "x"), h.board(t, "y")
	x.propose(t, "a", "t1", "t2")
	dead := x.wait(t)
	ok(t, dead.Reserve(t.Context(), "line-0002", []string{"rig-1"}, nil))
	dead.Abandon()
	c := y.wait(t)
	if j := c.Job; j.Owner != "y" || j.Attempts != 2 || j.Release != "line-0002" || !slices.Equal(j.Takes, takes("t1", "t2")) {
		t.Errorf("%+v", j)
	}
	if err := dead.Reserve(t.Context(), "line-0003", nil, nil); !errors.Is(err, ErrLost) {
		t.Errorf("the dead one: %v", err)
	}
	if err := dead.Close(t.Context(), Released, nil); !errors.Is(err, ErrLost) {
		t.Errorf("the dead one: %v", err)
	}
	ok(t, c.Close(t.Context(), Released, nil))
	if j := x.job(t, "a"); j.Release != "line-0002" || j.Status != Released || j.Owner != "y" {
		t.Errorf("%+v", j)
	}
}

// TestClosedTwice: a job that was closed without the queue hearing of it is not done again.
func TestClosedTwice(t *testing.T) {
	h := startHub(t)
	x, y := h.board(t, "x"), h.board(t, "y")
	x.propose(t, "a", "t1")
	c := x.wait(t)
	c.Job.Status = Released
	_, err := x.write(t.Context(), c.Job, c.revision)
	ok(t, err)
	c.Abandon() // and dies before the queue hears of it
	ctx := limit(t)
	for held := true; held && ctx.Err() == nil; {
		y.none(t)
		held, err = x.queue.Holds(ctx, x.subject("a"))
		ok(t, err)
	}
	if j := y.job(t, "a"); j.Attempts != 1 || j.Owner != "x" {
		t.Errorf("%+v", j)
	}
}

// TestParked: a job that ends each trainer that begins it is given up and told of, and new takes make a new one.
func TestParked(t *testing.T) {
	h := startHub(t)
	x := h.board(t, "x")
	told, err := h.conn.NATS().SubscribeSync("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.JOBS.>")
	ok(t, err)
	x.propose(t, "a", "t1")
	x.wait(t).Abandon()
	ok(t, x.wait(t).Retry(t.Context(), errors.New("disk full"), 0))
	x.wait(t).Abandon()
	ctx := limit(t)
	for !closed(t, x, "a") && ctx.Err() == nil {
		x.none(t)
	}
	if j := x.job(t, "a"); j.Status != Failed || j.Attempts != 3 || !strings.HasPrefix(j.Error, "given up after 3 attempts, the last by x: disk full") {
		t.Errorf("%+v", j)
	}
	if _, err := told.NextMsgWithContext(ctx); err != nil {
		t.Error(err)
	}
	x.propose(t, "a", "t1")
	x.none(t)
	x.propose(t, "a", "t1", "t2")
	ok(t, x.wait(t).Close(t.Context(), Released, nil))
}

func closed(t *testing.T, b *Board, cell string) bool {
	j := b.job(t, cell)
	return j.Closed()
}

// TestWhatIsNoAttempt: a process that ends, or that hasn't got the takes yet, has not tried.
func TestWhatIsNoAttempt(t *testing.T) {
	h := startHub(t)
	x := h.board(t, "x")
	x.propose(t, "a", "t1")
	for range 4 {
		ok(t, x.wait(t).Return(t.Context()))
		ok(t, x.wait(t).Postpone(t.Context(), "waits for rig-1/t1", time.Millisecond))
	}
	if j := x.job(t, "a"); j.Attempts != 0 || j.Status != Queued || j.Error != "waits for rig-1/t1" {
		t.Errorf("%+v", j)
	}
	ok(t, x.wait(t).Close(t.Context(), Released, nil))
}

// TestLostOrders: a job that was made by a process that ended before it was in the queue, or that somebody has taken out
// of it, is put into it by the next one that looks.
func TestLostOrders(t *testing.T) {
	h := startHub(t)
	x := h.board(t, "x")
	_, err := x.write(t.Context(), &Job{Line: "line", Cell: "a", Number: 1, Takes: takes("t1"), Status: Queued}, 0)
	ok(t, err)
	x.none(t)
	x.propose(t, "a", "t1")
	ok(t, x.wait(t).Return(t.Context()))
	stream, err := h.conn.JetStream().Stream(t.Context(), bus.StreamJobs)
	ok(t, err)
	ok(t, stream.Purge(t.Context()))
	x.none(t)
	x.propose(t, "a", "t1")
	ok(t, x.wait(t).Close(t.Context(), Released, nil))
}

func TestWatch(t *testing.T) {
	h := startHub(t)
	x, y := h.board(t, "x"), h.board(t, "y")
	ctx, cancel := context.WithCancel(limit(t))
	changes := make(chan struct{}, 100)
	done := make(chan error, 1)
	go func() { done <- x.Watch(ctx, func() { changes <- struct{}{} }) }()
	y.propose(t, "a", "t1")
	<-changes
	ok(t, y.SetTeacher(ctx, map[string]string{"release": "line-0001"}))
	<-changes
	var teacher map[string]string
	if there, err := x.Teacher(ctx, &teacher); err != nil || !there || teacher["release"] != "line-0001" {
		t.Errorf("%v, %v, %v", there, teacher, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLine(t *testing.T) {
	h := startHub(t)
	boards := []*Board{h.board(t, "x"), h.board(t, "y")}
	var mu sync.Mutex
	var numbers []int
	var group sync.WaitGroup
	for _, b := range boards {
		group.Go(func() {
			for range 5 {
				n, err := b.NextNumber(t.Context())
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				numbers = append(numbers, n)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(numbers)
	if fmt.Sprint(numbers) != "[1 2 3 4 5 6 7 8 9 10]" {
		t.Errorf("numbers %v", numbers)
	}
	var nothing struct{}
	if there, err := boards[0].Teacher(t.Context(), &nothing); there || err != nil {
		t.Errorf("%v, %v", there, err)
	}
	path := filepath.Join(t.TempDir(), "in")
	ok(t, os.WriteFile(path, []byte("weights"), 0o600))
	ok(t, boards[0].PutFile(t.Context(), "line-0001.checkpoint", path))
	out := filepath.Join(t.TempDir(), "new", "out")
	ok(t, boards[1].GetFile(t.Context(), "line-0001.checkpoint", out))
	if data, err := os.ReadFile(out); err != nil || string(data) != "weights" {
		t.Errorf("%q, %v", data, err)
	}
	if err := boards[1].GetFile(t.Context(), "line-0002.checkpoint", out+"2"); err == nil || !strings.Contains(err.Error(), "line-0002.checkpoint") {
		t.Errorf("%v", err)
	}
}

func TestDamagedJob(t *testing.T) {
	h := startHub(t)
	x := h.board(t, "x")
	for _, text := range []string{"{", `{"line":"line"}`, `{"line":"line","cell":"a","number":1,"status":"done"}`} {
		_, err := x.kv.Put(t.Context(), x.jobKey("a"), []byte(text))
		ok(t, err)
		if err := x.Propose(t.Context(), "a", takes("t1")); err == nil || !strings.Contains(err.Error(), "delete the key to begin anew") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

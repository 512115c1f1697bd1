package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

// ErrNone means that there is no job to take.
var ErrNone = errors.New("no job")

// Config says whose jobs a board shows.
type Config struct {
	Site, Line string // tokens
	Owner      string // the process's own name, a token
	// AckWait is how long a trainer may be silent before its job goes to another; default 30 s, the same for all.
	AckWait time.Duration
	// Attempts is how often a job is begun, crashes and failures of the hub included, until it is given up; default 3.
	Attempts int
	Log      *slog.Logger // default slog.Default
}

// Board is a line's jobs. Its methods may be called by several goroutines.
type Board struct {
	cfg   Config
	queue *bus.Queue
	kv    jetstream.KeyValue
	files jetstream.ObjectStore
	log   *slog.Logger
	now   func() time.Time
}

// Open opens the board on what bus.EnsureStreams has made.
func Open(ctx context.Context, js jetstream.JetStream, cfg Config) (*Board, error) {
	for field, v := range map[string]string{"site": cfg.Site, "line": cfg.Line, "trainer": cfg.Owner} {
		if err := wire.CheckToken(field, v); err != nil {
			return nil, fmt.Errorf("jobs: %w", err)
		}
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 3
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	kv, err := js.KeyValue(ctx, bus.BucketTraining)
	if err != nil {
		return nil, fmt.Errorf("key-value bucket %s: %w: has the hub made it?", bus.BucketTraining, err)
	}
	files, err := js.ObjectStore(ctx, bus.BucketBundles)
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w: has the hub made it?", bus.BucketBundles, err)
	}
	queue := bus.NewQueue(js, bus.QueueConfig{AckWait: cfg.AckWait, Logger: cfg.Log})
	return &Board{cfg: cfg, queue: queue, kv: kv, files: files, log: cfg.Log, now: time.Now}, nil
}

// AckWait returns how long a trainer may be silent.
func (b *Board) AckWait() time.Duration { return b.queue.AckWait() }

// Keys of the bucket. Lines and cells are tokens, so a key has one reading.
func (b *Board) jobKey(cell string) string {
	return "job." + b.cfg.Site + "." + b.cfg.Line + "." + cell
}
func (b *Board) teacherKey() string { return "teacher." + b.cfg.Site + "." + b.cfg.Line }
func (b *Board) namesKey() string   { return "names." + b.cfg.Line }

func (b *Board) subject(cell string) bus.Subject {
	return bus.Subject{Site: b.cfg.Site, Cell: cell, Device: b.cfg.Line, Kind: bus.Jobs}
}

// Last returns the cell's newest job, nil if there was none.
func (b *Board) Last(ctx context.Context, cell string) (*Job, error) {
	j, _, err := b.last(ctx, cell)
	return j, err
}

func (b *Board) last(ctx context.Context, cell string) (*Job, uint64, error) {
	e, err := b.kv.Get(ctx, b.jobKey(cell))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("job of %s: %w", cell, err)
	}
	j, err := decode(e.Value())
	if err != nil {
		return nil, 0, fmt.Errorf("job of %s: key %s: %w; delete the key to begin anew", cell, e.Key(), err)
	}
	return j, e.Revision(), nil
}

// Propose makes the cell's next job, unless one is open or the last one covers all takes. It returns nil, too, if another
// process was faster: there is one job then, and it is theirs. An open job that the queue has lost is put into it again.
func (b *Board) Propose(ctx context.Context, cell string, takes []Take) error {
	last, revision, err := b.last(ctx, cell)
	if err != nil {
		return err
	}
	next := &Job{Line: b.cfg.Line, Cell: cell, Number: 1, Takes: takes, Created: b.now().UTC(), Status: Queued}
	if last != nil {
		if !last.Closed() {
			return b.remind(ctx, last, revision)
		}
		if last.Covers(takes) && (cell != TeacherCell || last.Status != Failed) {
			return nil
		}
		next.Number = last.Number + 1
	}
	if _, err := b.write(ctx, next, revision); err != nil {
		if errors.Is(err, ErrLost) {
			return nil
		}
		return err
	}
	b.log.Info("job", "id", next.ID(), "takes", len(takes))
	return b.put(ctx, next, next.ID())
}

// remind puts an open job into the queue if it isn't there: whoever made it ended before, or somebody emptied the queue.
func (b *Board) remind(ctx context.Context, j *Job, revision uint64) error {
	s := b.subject(j.Cell)
	// The id under which it was put, or would have been; and if the hub remembers that one, another that all have in common.
	for _, id := range []string{j.ID(), j.ID() + "/" + strconv.FormatUint(revision, 10)} {
		if held, err := b.queue.Holds(ctx, s); held || err != nil {
			return err
		}
		if err := b.put(ctx, j, id); err != nil {
			return err
		}
	}
	return nil
}

// order is what is in the queue. What a job is like stands in the bucket.
type order struct {
	Number int `json:"number"`
}

func (b *Board) put(ctx context.Context, j *Job, id string) error {
	data, err := json.Marshal(order{j.Number})
	if err != nil {
		return err
	}
	return b.queue.Put(ctx, b.subject(j.Cell), id, data)
}

// write stores the job if nobody has changed it since the revision (0: there was none), else ErrLost.
func (b *Board) write(ctx context.Context, j *Job, revision uint64) (uint64, error) {
	j.Updated = b.now().UTC()
	data, err := json.Marshal(j)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", j.ID(), err)
	}
	revision, err = b.swap(ctx, b.jobKey(j.Cell), data, revision)
	if err != nil {
		return 0, fmt.Errorf("job %s: %w", j.ID(), err)
	}
	return revision, nil
}

// ErrLost means that another trainer has taken the job over, or made it first.
var ErrLost = errors.New("another trainer has it")

func (b *Board) swap(ctx context.Context, key string, data []byte, revision uint64) (uint64, error) {
	const wrongLast = 10071
	r, err := b.kv.Update(ctx, key, data, revision)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == wrongLast {
		return 0, ErrLost
	}
	return r, err
}

// Take takes a job of one of the cells, or returns ErrNone at once. It looks at the cells in their order. Jobs that were
// begun too often are given up on the way.
func (b *Board) Take(ctx context.Context, cells []string) (*Claim, error) {
	for _, cell := range cells {
		for {
			task, err := b.queue.Take(ctx, b.subject(cell))
			if errors.Is(err, bus.ErrNoTask) {
				break
			}
			if err != nil {
				return nil, err
			}
			c, err := b.claim(ctx, cell, task)
			if errors.Is(err, ErrLost) {
				task.Later(time.Second)
				break
			}
			if err != nil {
				task.Later(time.Second)
				return nil, err
			}
			if c != nil {
				return c, nil
			}
		}
	}
	return nil, ErrNone
}

// claim makes the job ours. It returns nil if there is nothing to do for the task.
func (b *Board) claim(ctx context.Context, cell string, task *bus.Task) (*Claim, error) {
	var o order
	if err := json.Unmarshal(task.Data, &o); err != nil {
		b.log.Error("a task that is none was given up", "subject", task.Subject, "error", err)
		task.GiveUp("it is no task: " + err.Error())
		return nil, nil //nolint:nilnil // see above
	}
	j, revision, err := b.last(ctx, cell)
	if err != nil {
		return nil, err
	}
	if j == nil || j.Closed() || j.Number != o.Number {
		return nil, task.Done(ctx) // done before, and the queue had not heard of it
	}
	if j.Attempts >= b.cfg.Attempts {
		return nil, b.park(ctx, j, revision, task)
	}
	before := *j
	j.Status, j.Owner, j.Attempts = Running, b.cfg.Owner, j.Attempts+1
	if revision, err = b.write(ctx, j, revision); err != nil {
		return nil, err
	}
	if before.Owner != "" && before.Status == Running {
		b.log.Warn("job is taken over", "id", j.ID(), "from", before.Owner, "attempts", j.Attempts)
	}
	return &Claim{Job: j, board: b, revision: revision, task: task}, nil
}

// park gives up a job that was begun too often: it may be what ends the trainers.
func (b *Board) park(ctx context.Context, j *Job, revision uint64, task *bus.Task) error {
	why := fmt.Sprintf("given up after %d attempts, the last by %s", j.Attempts, j.Owner)
	if j.Error != "" {
		why += ": " + j.Error
	}
	j.Status, j.Error = Failed, wire.OneLine(why)
	if _, err := b.write(ctx, j, revision); err != nil {
		return err
	}
	b.log.Error("job is given up; new takes make a new one", "id", j.ID(), "error", j.Error)
	task.GiveUp(j.Error)
	return nil
}

// Watch calls changed whenever a job of the line, or its teacher, has changed, until ctx ends.
func (b *Board) Watch(ctx context.Context, changed func()) error {
	w, err := b.kv.WatchFiltered(ctx, []string{b.jobKey("*"), b.teacherKey()})
	if err != nil {
		return fmt.Errorf("watch jobs: %w", err)
	}
	defer w.Stop() //nolint:errcheck // it ends with ctx
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return ctx.Err()
			}
			if e != nil {
				changed()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

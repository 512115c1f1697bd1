package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tandem/learn/graph"
	"tandem/runtime/bundle"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/trainer/gate"
	"tandem/trainer/jobs"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// plant is a hub on which a line has its teacher, the world's.
type plant struct {
	t      *testing.T
	hub    *bus.Server
	conn   *bus.Conn
	board  *jobs.Board
	rel    *releaser
	digest string // of the line's extractor
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	ctx := limit(t)
	p := &plant{t: t}
	var err error
	if p.hub, err = bus.StartServer(ctx, bus.ServerConfig{StoreDir: t.TempDir(), Listen: "127.0.0.1:0", Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.hub.Close(); err != nil {
			t.Error(err)
		}
	})
	if p.conn, err = bus.Connect(ctx, bus.Config{URLs: []string{p.hub.URL()}, Name: "test", Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.conn.Close)
	js := p.conn.JetStream()
	if err := bus.EnsureStreams(ctx, js, bus.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	releases, err := bus.OpenReleases(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	if p.board, err = jobs.Open(ctx, js, jobs.Config{Site: "plant", Line: "line", Owner: "test", AckWait: serviceAckWait, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	p.rel = &releaser{name: "line", dir: filepath.Join(t.TempDir(), "bundles"), releases: releases, now: time.Now}
	p.install(ctx)
	return p
}

const serviceAckWait = time.Second

// install makes the world's teacher that of the line.
func (p *plant) install(ctx context.Context) {
	t := p.t
	t.Helper()
	ex := gray(t)
	name, err := p.rel.next(ctx, p.board)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	stored, err := teacher(t).store(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	report := TeacherReport{Method: "labels", Calibration: gate.Calibration{Temperature: 1.2}}
	info, err := p.rel.publish(ctx, name, teacher(t), ex, "", report)
	for _, err := range []error{
		err,
		p.board.PutFile(ctx, stored.Checkpoint, filepath.Join(dir, stored.Checkpoint)),
		p.rel.assign(ctx, info, bus.DefaultDevice),
		p.board.SetTeacher(ctx, lineTeacher{Release: name, Network: *stored, Report: report}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := bundle.Read(filepath.Join(p.rel.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	p.digest = b.Extractor.SHA256
}

// gray is an extractor of as many grey values as the world has features.
func gray(t *testing.T) Extractor {
	t.Helper()
	g := graph.New(graph.Float32)
	g.Output("features", g.Reshape(g.Input("image", graph.Float32, 1, 1, 2, worldDim/2), 1, worldDim))
	onnx, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	return Extractor{ONNX: onnx, Contract: bundle.Extractor{
		Input: bundle.Image{
			Name: "image", Width: worldDim / 2, Height: 2, Layout: "NCHW", Channels: "GRAY", Fit: "stretch",
			Scale: 1, Mean: []float64{0}, Std: []float64{1},
		},
		Output: "features", Dim: worldDim,
	}}
}

// send publishes takes of a rig as its agent would, each in three batches.
func (p *plant) send(cell, device string, takes []*PairedTake) {
	p.t.Helper()
	for _, take := range takes {
		id := TakeID{device, take.ID.Take}
		n := take.Ego.Len()
		for i := range 3 {
			from, to := i*n/3, (i+1)*n/3
			b := batch(id, uint64(from), to-from)
			pairWith(b, "exo1", 1)
			times := wire.AppendDeltas(nil, take.Ego.Times[from:to])
			b.Ego.SiteNs, b.Ego.RawNs, b.Ego.Extractor, b.Exo[0].Extractor = times, times, p.digest, p.digest
			b.Ego.Dim, b.Exo[0].Dim = worldDim, worldDim
			b.Ego.Features, _ = wire.AppendF16(nil, take.Ego.Features[from*worldDim:to*worldDim])
			b.Exo[0].Features, _ = wire.AppendF16(nil, take.Exo[0].Features[from*worldDim:to*worldDim])
			b.Last = i == 2
			s := bus.Subject{Site: "plant", Cell: cell, Device: device, Kind: bus.Pairs}
			if _, err := p.conn.JetStream().Publish(limit(p.t), s.String(), encode(p.t, b), jetstream.WithMsgID(b.ID())); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// worldTakes are paired takes from..to of the world.
func worldTakes(from, to int) []*PairedTake {
	exo, ego := world(10, to, 120)
	return pairUp(exo, ego)[from:]
}

// running is a trainer process.
type running struct {
	*Trainer
	stop context.CancelFunc
	done chan error
}

// start runs a trainer; change may alter it before.
func (p *plant) start(name string, change func(*Config, *Options)) *running {
	p.t.Helper()
	cfg := Config{
		Site: "plant", Name: name, Line: "line", Cells: Cells{"cell-1", "cell-2"}, Store: p.t.TempDir(),
		NATS: bus.Client{URLs: []string{p.hub.URL()}}, Gate: GateConfig{Seeds: 1}, Distil: DistilConfig{Method: "tas"},
		Jobs: JobsConfig{AckWait: serviceAckWait},
		Recipe: RecipeConfig{RateHz: testRate, Channels: 16, Layers: 4, Dropout: 0.1, Lag: 400 * time.Millisecond, Hold: 300 * time.Millisecond,
			Epochs: 30, Batch: 2, Rate: 1e-2, Seed: 7, Threads: 1},
	}
	opts := Options{Log: quiet}
	if change != nil {
		change(&cfg, &opts)
	}
	t, err := New(cfg, opts)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(limit(p.t))
	r := &running{t, stop, make(chan error, 1)}
	go func() { r.done <- t.Run(ctx) }()
	p.t.Cleanup(func() { r.end(p.t) })
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
}

// wait returns the first state of a cell's jobs of which ok says so.
func (p *plant) wait(cell string, ok func(*jobs.Job) bool) *jobs.Job {
	p.t.Helper()
	ctx := limit(p.t)
	kv, err := p.conn.JetStream().KeyValue(ctx, bus.BucketTraining)
	if err != nil {
		p.t.Fatal(err)
	}
	w, err := kv.Watch(ctx, "job.plant.line."+cell, jetstream.IncludeHistory())
	if err != nil {
		p.t.Fatal(err)
	}
	defer w.Stop() //nolint:errcheck // it ends with ctx
	var j jobs.Job
	for {
		select {
		case e := <-w.Updates():
			if e == nil {
				continue // all that there was has been told
			}
			j = jobs.Job{}
			if err := json.Unmarshal(e.Value(), &j); err != nil {
				p.t.Fatal(err)
			}
			if ok(&j) {
				return &j
			}
		case <-ctx.Done():
			p.t.Fatalf("%v: %+v", ctx.Err(), brief(&j))
		}
	}
}

// brief is a job without its report.
func brief(j *jobs.Job) jobs.Job {
	c := *j
	c.Report = nil
	return c
}

func (p *plant) closed(cell string, number int) *jobs.Job {
	p.t.Helper()
	return p.wait(cell, func(j *jobs.Job) bool { return j.Number == number && j.Closed() })
}

// releases lists the names of the releases at the hub.
func (p *plant) releases() string {
	p.t.Helper()
	list, err := p.rel.releases.ListReleases(limit(p.t))
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, r := range list {
		names = append(names, r.Release)
	}
	return strings.Join(names, " ")
}

func (p *plant) assigned(device, release string) {
	p.t.Helper()
	a, err := p.rel.releases.Assignment(limit(p.t), device)
	if err != nil || a.Release != release {
		p.t.Errorf("%s runs %v, want %s (%v)", device, a, release, err)
	}
}

func report(t *testing.T, j *jobs.Job) Report {
	t.Helper()
	var r Report
	if err := json.Unmarshal(j.Report, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTrainersShareTheWork: two trainers of two cells each take one job and work at the same time; each keeps all pairs.
func TestTrainersShareTheWork(t *testing.T) {
	p := newPlant(t)
	// Nobody gets far in its job before both have begun one.
	var begun sync.WaitGroup
	begun.Add(2)
	meet := func(_ *Config, o *Options) {
		once := sync.OnceFunc(func() {
			begun.Done()
			begun.Wait()
		})
		o.Progress = func(string, int, int, string) { once() }
	}
	a := p.start("a", meet)
	b := p.start("b", func(cfg *Config, o *Options) {
		meet(cfg, o)
		cfg.Cells = Cells{"*"}
	})
	p.send("cell-1", "rig-1", worldTakes(0, 5))
	p.send("cell-2", "rig-2", worldTakes(0, 5))
	one, two := p.closed("cell-1", 1), p.closed("cell-2", 1)
	if one.Owner == two.Owner || one.Attempts != 1 || two.Attempts != 1 || one.Status != jobs.Released || two.Status != jobs.Released {
		t.Errorf("%+v\n%+v", brief(one), brief(two))
	}
	if got := strings.Fields(p.releases()); len(got) != 3 {
		t.Errorf("releases %v", got)
	}
	p.assigned("rig-1", one.Release)
	p.assigned("rig-2", two.Release)
	p.assigned("rig-3", "line-0001")
	r := report(t, one)
	if !r.Better || len(r.Gate) != 1 || r.Gate[0].Running != "line-0001" || r.Gate[0].Verdict.Churn < 10 || r.Calibration.Temperature != 1.2 {
		t.Errorf("report %+v", r)
	}
	info, err := p.rel.releases.Info(limit(t), one.Release)
	if err != nil || info.Parent != "line-0001" || !strings.Contains(info.Report, `"running":"line-0001"`) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, r := range []*running{a, b} {
		r.end(t)
		if s := r.Archived(); s.Takes != 10 || s.Ended != 10 || s.Pairs != 1200 || s.Duplicates != 0 {
			t.Errorf("%s has archived %+v", r.cfg.Name, s)
		}
	}
}

// TestTrainerDies: of two trainers the one that has the job is killed in the middle of it. The other makes the student of the
// same takes, once.
func TestTrainerDies(t *testing.T) {
	p := newPlant(t)
	first := make(chan string, 2)
	var once sync.Once
	trainers := map[string]*running{}
	var mu sync.Mutex
	killable := func(name string) func(*Config, *Options) {
		return func(_ *Config, o *Options) {
			o.Progress = func(_ string, done, _ int, _ string) {
				if done < 3 {
					return
				}
				once.Do(func() {
					mu.Lock()
					defer mu.Unlock()
					first <- name
					trainers[name].abandon = true
					trainers[name].stop()
				})
			}
		}
	}
	mu.Lock()
	for _, name := range []string{"a", "b"} {
		trainers[name] = p.start(name, killable(name))
	}
	mu.Unlock()
	takes := worldTakes(0, 6)
	p.send("cell-1", "rig-1", takes[:5])
	dead := <-first
	p.send("cell-1", "rig-1", takes[5:]) // after the job was made, so of none of it
	j := p.closed("cell-1", 1)
	if j.Owner == dead || j.Attempts != 2 || j.Status != jobs.Released || j.Release != "line-0002" {
		t.Errorf("%s died: %+v", dead, brief(j))
	}
	if len(j.Takes) != 5 || report(t, j).TrainPairs != 3*120 {
		t.Errorf("takes %v, report %+v", j.Takes, report(t, j))
	}
	next := p.closed("cell-1", 2) // the sixth take makes another job
	if len(next.Takes) != 6 || next.Owner == dead {
		t.Errorf("%+v", brief(next))
	}
	if want := "line-0001 line-0002"; !strings.HasPrefix(p.releases(), want) {
		t.Errorf("releases %s", p.releases())
	}
	for name, r := range trainers {
		r.end(t)
		if name != dead {
			if s := r.Archived(); s.Pairs != 720 || s.Ended != 6 {
				t.Errorf("%s has archived %+v", name, s)
			}
		}
	}
}

// TestReleaseIsMadeOnce: a trainer that ends between its release and saying so has released; nobody does it again.
func TestReleaseIsMadeOnce(t *testing.T) {
	p := newPlant(t)
	ctx := limit(t)
	takes := worldTakes(0, 5)
	var list []jobs.Take
	for _, x := range takes {
		list = append(list, jobs.Take{Device: "rig-1", Take: x.ID.Take, Batches: 3})
	}
	if err := p.board.Propose(ctx, "cell-1", list); err != nil {
		t.Fatal(err)
	}
	c, err := p.board.Take(ctx, []string{"cell-1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reserve(ctx, "line-0002", []string{"rig-1"}, Report{Better: true}); err != nil {
		t.Fatal(err)
	}
	fetched, err := p.rel.fetch(ctx, "line-0001")
	if err != nil {
		t.Fatal(err)
	}
	ex := Extractor{Contract: fetched.Extractor}
	ex.ONNX = readFile(t, filepath.Join(fetched.Path, fetched.Extractor.Name))
	if _, err := p.rel.publish(ctx, "line-0002", teacher(t), ex, "line-0001", Report{Better: true}); err != nil {
		t.Fatal(err)
	}
	c.Abandon()
	p.start("a", nil)
	p.send("cell-1", "rig-1", takes)
	j := p.closed("cell-1", 1)
	if j.Owner != "a" || j.Status != jobs.Released || p.releases() != "line-0001 line-0002" {
		t.Errorf("%+v, releases %s", brief(j), p.releases())
	}
	p.assigned("rig-1", "line-0002")
}

// TestTrainerWaitsForTakes: a trainer that has not got all of a job's pairs yet begins when they are there. Nobody else could
// have done it, and no attempt is counted.
func TestTrainerWaitsForTakes(t *testing.T) {
	p := newPlant(t)
	takes := worldTakes(0, 6)
	var list []jobs.Take
	for _, x := range takes {
		list = append(list, jobs.Take{Device: "rig-1", Take: x.ID.Take, Batches: 3})
	}
	p.start("a", nil)
	p.send("cell-1", "rig-1", takes[:1])
	if err := p.board.Propose(limit(t), "cell-1", list); err != nil {
		t.Fatal(err)
	}
	p.wait("cell-1", func(j *jobs.Job) bool {
		return strings.Contains(j.Error, "trainer a waits for the take rig-1/take-1 (0 of 3")
	})
	p.send("cell-1", "rig-1", takes[1:])
	if j := p.closed("cell-1", 1); j.Attempts != 1 || j.Status == jobs.Failed || j.Error != "" {
		t.Errorf("%+v", brief(j))
	}
	// A job of takes that never come is given up in the end.
	p.start("b", func(c *Config, _ *Options) {
		c.Cells, c.Jobs.Patience = Cells{"cell-2"}, 300*time.Millisecond
	})
	p.send("cell-2", "rig-2", takes[:1])
	if err := p.board.Propose(limit(t), "cell-2", []jobs.Take{{Device: "rig-2", Take: "lost", Batches: 1}}); err != nil {
		t.Fatal(err)
	}
	if j := p.closed("cell-2", 1); j.Status != jobs.Failed || !strings.Contains(j.Error, "no trainer has got all takes within 300ms") {
		t.Errorf("%+v", brief(j))
	}
}

// TestTheRunningReleaseStays: once a student runs, the next one is compared with it and not with the teacher. What is refused,
// and why, stands at the hub.
func TestTheRunningReleaseStays(t *testing.T) {
	p := newPlant(t)
	p.start("a", func(c *Config, _ *Options) {
		c.Gate, c.Distil.Takes = GateConfig{Seeds: 2, Margin: 5}, 10
	})
	p.send("cell-1", "rig-1", worldTakes(0, 10))
	first := p.closed("cell-1", 1)
	if first.Status != jobs.Released {
		t.Fatalf("%+v", brief(first))
	}
	p.send("cell-1", "rig-1", worldTakes(10, 11))
	j := p.closed("cell-1", 2)
	r := report(t, j)
	if j.Status != jobs.Rejected || r.Better || len(r.Gate) != 1 || r.Gate[0].Running != first.Release || r.Gate[0].Verdict.Seeds != 2 ||
		!strings.HasPrefix(r.Gate[0].Verdict.Why, "not ") {
		t.Errorf("%+v\n%+v", brief(j), r)
	}
	p.assigned("rig-1", first.Release)
	if _, err := p.rel.releases.Info(limit(t), "line-0003"); !errors.Is(err, bus.ErrNoRelease) {
		t.Errorf("releases %s", p.releases())
	}
}

// TestJobsThatFail: takes that can't be used fail the job, which says why; the trainer goes on.
func TestJobsThatFail(t *testing.T) {
	p := newPlant(t)
	p.start("a", nil)
	digest := p.digest
	p.digest = strings.Repeat("d", 64)
	p.send("cell-1", "rig-1", worldTakes(0, 5))
	p.digest = digest
	if j := p.closed("cell-1", 1); j.Status != jobs.Failed || j.Error != "no paired take can be used" {
		t.Errorf("%+v", brief(j))
	}
	p.send("cell-2", "rig-2", worldTakes(0, 5))
	if j := p.closed("cell-2", 1); j.Status != jobs.Released {
		t.Errorf("%+v", brief(j))
	}
}

// TestTeacherThatCannotBeMade ends the trainer, and says why at the hub.
func TestTeacherThatCannotBeMade(t *testing.T) {
	p := newPlant(t)
	dir := t.TempDir()
	r := p.start("a", func(c *Config, _ *Options) { c.Line, c.Labelled.Dir = "other", dir })
	err := <-r.done
	r.done <- nil
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("teacher: labelled takes: %s holds no take", dir)) {
		t.Errorf("%v", err)
	}
}

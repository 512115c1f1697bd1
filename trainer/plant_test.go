package trainer

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
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

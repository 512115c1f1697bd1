package trainer

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/stream/bus"
	"tandem/trainer/jobs"
)

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

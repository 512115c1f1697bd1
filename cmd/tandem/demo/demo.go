package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"tandem/agent"
	"tandem/stream/capture"
	"tandem/tas"
	"tandem/trainer"
)

// Run closes the loop once for each seed, writes report.json and strips.png into the output directory, and returns the
// report.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := makeOut(c.Out); err != nil {
		return nil, err
	}
	var runs []SeedRun
	var hub string
	var chart strips
	for i, seed := range c.Seeds {
		began := time.Now()
		dir := filepath.Join(c.Out, fmt.Sprintf("seed-%d", seed))
		l := &loop{c: &c, seed: seed, dir: dir}
		if err := l.run(ctx); err != nil {
			return nil, fmt.Errorf("seed %d: %w", seed, err)
		}
		l.result.Seconds = time.Since(began).Seconds()
		runs = append(runs, SeedRun{Seed: seed, Result: l.result})
		if i == 0 {
			hub, chart = filepath.Join(dir, "hub"), l.strips
		}
	}
	r := summarize(runs)
	r.Hub, r.Strips = hub, filepath.Join(c.Out, "strips.png")
	if err := chart.write(r.Strips); err != nil {
		return nil, err
	}
	return &r, r.write(c.Out)
}

// marker is in every directory that the demo has made, so that it never removes another one's content.
const marker = ".tandem-demo"

// makeOut makes the output directory anew.
func makeOut(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("--out: %w", err)
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("--out: %s is not empty and not an earlier demo's; name another directory", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}

// loop is one pass: teacher, exo-only student, pairs, distillation, swap, adapted student.
type loop struct {
	c      *Config
	seed   uint64
	dir    string
	takes  *takes
	site   *site
	start  int64 // site time of the user's recordings, 0 where they have stamps of their own
	result Result
	strips strips
}

func (l *loop) say(format string, args ...any) {
	if l.c.Text != nil {
		fmt.Fprintf(l.c.Text, format+"\n", args...)
	}
}

func (l *loop) run(ctx context.Context) (err error) {
	// What can be wrong with the machine or the recordings shows before the long work.
	if err := l.probe(ctx); err != nil {
		return err
	}
	if l.site, err = startHub(ctx, l.c, l.dir); err != nil {
		return err
	}
	return l.close(l.around())
}

// close ends the site. The error that ended one of its parts is the one to tell, not that the others were interrupted.
func (l *loop) close(err error) error {
	if e := l.site.close(); e != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return e
	}
	return err
}

// around goes once through the loop.
func (l *loop) around() (err error) {
	labelled := filepath.Join(l.dir, "takes", labelledTakes)
	if l.c.TeacherTakes != "" {
		labelled = l.c.TeacherTakes
	} else {
		l.say("seed %d: rendering takes of the simulated cell", l.seed)
		if l.takes, err = render(l.site.ctx, l.c, l.seed, filepath.Join(l.dir, "takes")); err != nil {
			return err
		}
	}
	exo, paired := []string{exo1, exo2}, l.c.Paired
	if l.c.own() {
		exo, paired = nil, 1
		for i := range l.c.Exo {
			exo = append(exo, fmt.Sprintf("exo%d", i+1))
		}
	}
	if err := l.site.start(l.c, l.dir, exo, labelled, paired, l.seed); err != nil {
		return err
	}
	l.say("hub listens at %s; the trainer makes the teacher from labelled exo takes", l.site.hub.URL())
	if l.c.own() {
		return l.ownRecordings(exo)
	}
	return l.simulated()
}

// simulated is the loop on the simulated cell.
func (l *loop) simulated() error {
	s := l.site
	ctx := s.ctx
	if err := l.teacherReleased(); err != nil {
		return err
	}
	l.say("release %s runs everywhere: the rig's student is the teacher, and the rig plays the test takes with it", l.result.ReleaseBefore)
	if err := s.camera[rig].play(ctx, l.sources(testTakes, "ego", "before", true)); err != nil {
		return err
	}
	l.say("recording %d paired takes without labels", l.c.Paired)
	if err := l.record(map[string][]agent.Source{
		rig:  l.sources(pairedTakes, "ego", "", false),
		exo1: append(l.sources(pairedTakes, exo1, "", false), l.sources(testTakes, exo1, "", false)...),
		exo2: append(l.sources(pairedTakes, exo2, "", false), l.sources(testTakes, exo2, "", false)...),
	}); err != nil {
		return err
	}
	live := agent.Source{Take: "live", NoPairs: true, Capture: capture.Config{
		Source: l.takes.path(liveTakes, l.takes.kind[liveTakes][0], "ego"), Pace: capture.ByStamps, Loop: true,
	}}
	if err := l.swapWhileStreaming(live); err != nil {
		return err
	}
	l.say("release %s runs on the rig, which plays the test takes again", l.result.ReleaseAfter)
	if err := s.camera[rig].play(ctx, l.sources(testTakes, "ego", "after", true)); err != nil {
		return err
	}
	if err := l.countPairs(); err != nil {
		return err
	}
	l.say("training the oracle on the ego labels of the paired takes, for comparison only")
	oracle, err := l.oracle(ctx)
	if err != nil {
		return err
	}
	return l.scoreAll(ctx, oracle)
}

// sources returns the takes of a kind for a camera. The suffix tells passes over the same takes apart.
func (l *loop) sources(kind, camera, suffix string, noPairs bool) []agent.Source {
	var list []agent.Source
	for _, t := range l.takes.kind[kind] {
		list = append(list, agent.Source{
			Take: takeName(t.Name, suffix), NoPairs: noPairs, Capture: capture.Config{Source: l.takes.path(kind, t, camera)},
		})
	}
	return list
}

func takeName(name, suffix string) string {
	if suffix == "" {
		return name
	}
	return name + "-" + suffix
}

// teacherReleased waits for the teacher's release to run on the rig.
func (l *loop) teacherReleased() error {
	s := l.site
	if err := s.wait(func() bool { return len(s.released) > 0 }); err != nil {
		return err
	}
	l.result.ReleaseBefore = s.released[0].name
	return nil
}

// record lets several cameras play their takes at once.
func (l *loop) record(lists map[string][]agent.Source) error {
	errs := make(chan error, len(lists))
	for name, list := range lists {
		go func() { errs <- l.site.camera[name].play(l.site.ctx, list) }()
	}
	var all []error
	for range lists {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// errRejected says that the student did not pass the gate, so that there is no adapted release to show.
var errRejected = errors.New("the gate rejected the student: it does not agree better with the teacher than before; more or longer paired takes are needed")

// afterSwap is how long the rig goes on streaming with the new release before the live take ends.
const afterSwap = 2 * time.Second

// swapWhileStreaming streams from the rig's camera at its own pace while the trainer distils, until the student has taken
// over in the middle of the stream.
func (l *loop) swapWhileStreaming(live agent.Source) error {
	s := l.site
	drain(s.rigAdopts)
	stop := make(chan struct{})
	live.Stop = stop
	l.say("the trainer distils; meanwhile the rig streams at its camera's pace")
	played := make(chan error, 1)
	go func() { played <- s.camera[rig].play(s.ctx, []agent.Source{live}) }()
	err := s.wait(func() bool { return len(s.released) > 1 || s.rejected != nil })
	switch {
	case err == nil && s.rejected != nil:
		d := s.rejected.Report
		l.result.AgreementBefore, l.result.AgreementAfter = d.Before, d.After
		err = errRejected
	case err == nil:
		d := s.released[1].d.Report
		l.result.AgreementBefore, l.result.AgreementAfter = d.Before, d.After
		select {
		case l.result.ReleaseAfter = <-s.rigAdopts:
			// Let the new release show itself in the same take.
			select {
			case <-time.After(afterSwap):
			case <-s.ctx.Done():
			}
		case <-s.ctx.Done():
		case <-time.After(time.Minute):
			err = fmt.Errorf("the rig did not take up release %s within a minute", s.released[1].name)
		}
	}
	close(stop)
	return errors.Join(err, <-played)
}

func drain(ch chan string) {
	for {
		select {
		case <-ch:
		default:
			return
		}
	}
}

// countPairs compares what the rig streamed with what is in the archive.
func (l *loop) countPairs() error {
	all, _, err := streams(l.site.ctx, l.site.conn)
	if err != nil {
		return err
	}
	if err := l.checkSwap(all); err != nil {
		return err
	}
	return l.auditPairs(all, len(l.takes.kind[pairedTakes]))
}

// checkSwap looks at the take in which the release changed.
func (l *loop) checkSwap(all map[string]*stream) error {
	live := all[rig+"/live"]
	if live == nil {
		return errors.New("the hub has no segment of the live take")
	}
	l.result.FramesLostInSwap = live.lost()
	if live.swaps != 1 || len(live.releases) != 2 {
		return fmt.Errorf("the live take shows releases %v and %d swaps, expected one swap between two releases", live.releases, live.swaps)
	}
	return nil
}

// auditPairs counts the archive sample by sample and compares with what the rig has published of the same takes.
func (l *loop) auditPairs(all map[string]*stream, takes int) error {
	archive, err := trainer.ReadArchive(filepath.Join(l.dir, "trainer", "pairs"))
	if err != nil {
		return err
	}
	if len(archive.Takes) != takes {
		return fmt.Errorf("the archive holds %d takes of %d", len(archive.Takes), takes)
	}
	l.result.Pairs, l.result.PairsRejected = archive.Paired, archive.Rejected
	l.result.PairsDuplicated = int64(archive.Twice)
	var streamed int64
	for _, id := range archive.Takes {
		s := all[id.String()]
		if s == nil {
			return fmt.Errorf("the archive holds the take %s, of which the hub has no segments", id)
		}
		streamed += int64(s.covered)
	}
	l.result.PairsLost = streamed - int64(archive.Samples)
	return nil
}

// oracle trains a network on the ego labels of the paired takes: what labelling would have bought.
func (l *loop) oracle(ctx context.Context) (*oracle, error) {
	ex, err := trainer.DefaultExtractor()
	if err != nil {
		return nil, err
	}
	r := l.c.Recipe
	r.Seed = l.seed
	recipe := r.Recipe()
	// The cell's classes, since a short run may not show all of them in the paired takes.
	labels, err := tas.NewLabels(l.takes.kind[testTakes][0].Labels...)
	if err != nil {
		return nil, err
	}
	load := func(kind string) ([]trainer.LabelledTake, error) {
		list, err := trainer.FindRecordings(filepath.Join(l.takes.dir, kind), "ego")
		if err != nil {
			return nil, err
		}
		return trainer.LoadRecordings(ctx, list, ex, recipe, labels, l.c.Progress)
	}
	learn, err := load(pairedTakes)
	if err != nil {
		return nil, err
	}
	held := max(1, len(learn)/5)
	if len(learn) < 2 {
		return nil, errors.New("the oracle needs at least two paired takes: one to train on, one to choose by")
	}
	n, err := trainer.TrainLabelled(ctx, "oracle", learn[held:], learn[:held], labels, []string{background}, recipe, l.c.Progress)
	if err != nil {
		return nil, err
	}
	test, err := load(testTakes)
	if err != nil {
		return nil, err
	}
	o := &oracle{takes: map[string]*stream{}}
	for _, t := range test {
		classes, err := n.Predict(t.Sequence)
		if err != nil {
			return nil, err
		}
		names, err := labels.Decode(classes)
		if err != nil {
			return nil, err
		}
		s := &stream{}
		period := int64(1e9 / recipe.RateHz)
		for i := range names {
			end := t.Times[i] + period
			if i+1 < len(names) {
				end = t.Times[i+1]
			}
			s.spans = append(s.spans, tas.Span{Label: names[i], Start: t.Times[i], End: end})
		}
		o.takes[filepath.Dir(t.Name)] = s
	}
	return o, nil
}

// oracle is a network trained on ego labels, by what it says of the test takes.
type oracle struct{ takes map[string]*stream }

// scoreAll scores what the hub holds of the test takes.
func (l *loop) scoreAll(ctx context.Context, o *oracle) error {
	all, events, err := streams(ctx, l.site.conn)
	if err != nil {
		return err
	}
	published := func(device, suffix string) func(string) (*stream, error) {
		return func(name string) (*stream, error) {
			s := all[device+"/"+takeName(name, suffix)]
			if s == nil {
				return nil, fmt.Errorf("the hub has no segments of %s/%s", device, takeName(name, suffix))
			}
			return s, nil
		}
	}
	var test []truth
	for _, t := range l.takes.kind[testTakes] {
		test = append(test, truthOf(t))
	}
	var before, after, teacher, best tas.Scores
	if before, err = score(test, published(rig, "before")); err != nil {
		return err
	}
	if after, err = score(test, published(rig, "after")); err != nil {
		return err
	}
	// Both exo cameras see each take: the teacher's score is over both views.
	double := make([]truth, 0, 2*len(test))
	for _, camera := range []string{exo1, exo2} {
		for _, t := range test {
			t.name = camera + "/" + t.name
			double = append(double, t)
		}
	}
	teacher, err = score(double, func(name string) (*stream, error) {
		return published(filepath.Dir(name), "")(filepath.Base(name))
	})
	if err != nil {
		return err
	}
	if best, err = score(test, func(name string) (*stream, error) { return o.takes[name], nil }); err != nil {
		return err
	}
	r := &l.result
	r.ScoredOn = "test takes"
	r.TeacherOnExo, r.ExoOnly, r.Adapted, r.Oracle = &teacher, &before, &after, &best
	r.GapClosedF1At50 = gapClosed(&before, &after, &best)
	if err := l.online(events, test); err != nil {
		return err
	}
	l.strips = strips{title: "Simulated cell: test takes on the rig", test: test,
		before: published(rig, "before"), after: published(rig, "after"), fps: l.c.FPS}
	return nil
}

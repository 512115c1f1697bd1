package trainer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/runtime/feature"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/tas"
)

// Trainer is the central trainer of a line. Make it with New, run it once with Run.
type Trainer struct {
	cfg      Config
	recipe   Recipe
	log      *slog.Logger
	progress Progress
	hooks    Options

	archive   *Archive
	extractor Extractor
	releaser  *releaser
	teacher   *Network
	state     State
	changed   chan struct{} // capacity 1: the archive has grown
}

// Options are what a caller may know better than the configuration file. All are optional.
type Options struct {
	Log      *slog.Logger
	Progress Progress
	// Extractor is the feature extractor of a new line; by default the filter bank.
	Extractor *Extractor
	// Released is told of each release after it has been assigned. d is nil for the teacher's.
	Released func(info *wire.ReleaseInfo, d *Distillation)
	// Rejected is told of each student that the gate did not let pass.
	Rejected func(d *Distillation)
}

// New makes a trainer of a valid configuration.
func New(cfg Config, opts Options) (*Trainer, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Trainer{cfg: cfg, recipe: cfg.Recipe.Recipe(), log: opts.Log, progress: opts.Progress, hooks: opts, changed: make(chan struct{}, 1)}
	if t.log == nil {
		t.log = slog.Default()
	}
	t.log = t.log.With("trainer", cfg.Name)
	return t, nil
}

// Run connects to the hub, makes the teacher when there is none yet and releases it to every device, then gathers pairs
// and distils whenever enough new takes are complete, until ctx ends. A distillation that fails is reported and leaves
// the running release; the next takes start another.
func (t *Trainer) Run(ctx context.Context) (err error) {
	if err := os.MkdirAll(t.cfg.Store, 0o755); err != nil {
		return fmt.Errorf("trainer: %w", err)
	}
	if t.state, err = loadState(t.cfg.Store); err != nil {
		return fmt.Errorf("trainer: %w", err)
	}
	if t.archive, err = OpenArchive(filepath.Join(t.cfg.Store, "pairs")); err != nil {
		return fmt.Errorf("trainer: %w", err)
	}
	defer func() {
		if e := t.archive.Close(); err == nil {
			err = e
		}
	}()
	conn, err := bus.Connect(ctx, t.cfg.NATS.Config(t.cfg.Name, t.log))
	if err != nil {
		return err
	}
	defer conn.Close()
	// On an external server nobody else may have made the streams yet; existing ones are left as they are.
	if err := bus.EnsureStreams(ctx, conn.JetStream(), bus.StreamsConfig{}); err != nil {
		return err
	}
	releases, err := bus.OpenReleases(ctx, conn.JetStream())
	if err != nil {
		return err
	}
	t.releaser = &releaser{name: t.cfg.Name, dir: filepath.Join(t.cfg.Store, "bundles"), releases: releases, now: time.Now}
	if err := t.prepareExtractor(); err != nil {
		return err
	}
	consumer, err := bus.NewConsumer(ctx, conn.JetStream(), bus.ConsumerConfig{
		Stream: bus.StreamPairs, Durable: wire.Token("archive-" + t.cfg.Cell),
		Filters: []bus.Subject{{Site: t.cfg.Site, Cell: t.cfg.Cell, Kind: bus.Pairs}}, Logger: t.log,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return consumer.Run(ctx, t.collect) })
	group.Go(func() error { return t.work(ctx) })
	err = group.Wait()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil // asked to stop, and stopped
	}
	return err
}

// Archived returns what the archive holds. Run must have begun.
func (t *Trainer) Archived() ArchiveStats { return t.archive.Stats() }

func (t *Trainer) prepareExtractor() error {
	if t.hooks.Extractor != nil {
		t.extractor = *t.hooks.Extractor
		return nil
	}
	var err error
	t.extractor, err = DefaultExtractor()
	return err
}

// collect stores a batch of pairs. It is acknowledged to the hub only when it is on the disk.
func (t *Trainer) collect(_ context.Context, m *bus.Message) error {
	b, err := wire.DecodePairBatch(m.Data)
	if err != nil {
		return err
	}
	stored, err := t.archive.Add(b)
	if err != nil {
		return err
	}
	if stored && b.Last {
		t.log.Info("paired take is complete", "device", b.Ego.Device, "take", b.Ego.Take, "complete", t.archive.Stats().Ended)
		select {
		case t.changed <- struct{}{}:
		default:
		}
	}
	return nil
}

// work makes the teacher, then a student each time there are enough new takes.
func (t *Trainer) work(ctx context.Context) error {
	if err := t.prepareTeacher(ctx); err != nil {
		return err
	}
	for {
		if ended := t.archive.Stats().Ended; ended >= t.cfg.Distil.Takes && ended > t.state.Takes {
			err := t.student(ctx)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			t.state.Takes, t.state.LastError = ended, ""
			if err != nil {
				t.log.Error("no student was released, the running release goes on", "error", err)
				t.state.LastError = err.Error()
			}
			if err := t.state.save(t.cfg.Store); err != nil {
				return fmt.Errorf("trainer: %w", err)
			}
		}
		select {
		case <-t.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// prepareTeacher loads the teacher, or trains and releases it.
func (t *Trainer) prepareTeacher(ctx context.Context) error {
	if s := t.state.Teacher; s != nil {
		var err error
		t.teacher, err = s.load(t.cfg.Store)
		return err
	}
	takes, labels, err := t.labelled(ctx)
	if err != nil {
		return err
	}
	learn, heldOut := holdOut(takes)
	n, err := TrainLabelled(ctx, "teacher", learn, heldOut, labels, t.cfg.Labelled.Background, t.recipe, t.progress)
	if err != nil {
		return err
	}
	chosen, err := n.Score(heldOut, t.recipe)
	if err != nil {
		return err
	}
	t.log.Info("teacher is trained", "takes", len(learn), "held_out", len(heldOut), "f1_50", chosen.F1At50, "mof", chosen.MoF)
	info, err := t.releaser.publish(ctx, n, t.extractor, "", TeacherReport{
		Method: "labels", Seed: t.recipe.Seed, TrainRecordings: len(learn), ChosenOn: chosen,
	})
	if err != nil {
		return err
	}
	// The checkpoint and the state come after the release: a cut in between makes another release, never a teacher
	// without one.
	stored, err := n.store(t.cfg.Store, info.Release)
	if err != nil {
		return err
	}
	t.teacher, t.state.Teacher, t.state.Release = n, stored, info.Release
	if err := t.releaser.assign(ctx, info, bus.DefaultDevice); err != nil {
		return err
	}
	if err := t.state.save(t.cfg.Store); err != nil {
		return fmt.Errorf("trainer: %w", err)
	}
	if t.hooks.Released != nil {
		t.hooks.Released(info, nil)
	}
	return nil
}

// TeacherReport goes into the teacher's release.
type TeacherReport struct {
	Method          string     `json:"method"`
	Seed            uint64     `json:"seed"`
	TrainRecordings int        `json:"train_recordings"`
	ChosenOn        tas.Scores `json:"chosen_on"` // on the held-out labelled takes that chose the checkpoint: not a test score
}

// labelled loads the labelled exo takes.
func (t *Trainer) labelled(ctx context.Context) ([]LabelledTake, tas.Labels, error) {
	list, err := FindRecordings(t.cfg.Labelled.Dir, t.cfg.Labelled.Cameras...)
	if err != nil {
		return nil, tas.Labels{}, err
	}
	labels, err := ClassesOf(list, t.cfg.Labelled.Background)
	if err != nil {
		return nil, labels, err
	}
	takes, err := LoadRecordings(ctx, list, t.extractor, t.recipe, labels, t.progress)
	return takes, labels, err
}

// LoadRecordings extracts the features of labelled recordings, several at a time.
func LoadRecordings(ctx context.Context, list []Recording, ex Extractor, r Recipe, labels tas.Labels, progress Progress) ([]LabelledTake, error) {
	takes := make([]LabelledTake, len(list))
	next := make(chan int)
	done := make(chan int, len(list))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for i := range list {
			select {
			case next <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for range loaders {
		group.Go(func() (err error) {
			e, err := feature.New(ex.ONNX, ex.Contract, r.session())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, e.Close()) }()
			for i := range next {
				if takes[i], err = list[i].Load(ctx, e, r.RateHz, labels); err != nil {
					return err
				}
				done <- i
				progress.report("features", len(done), len(list), takes[i].Name)
			}
			return nil
		})
	}
	return takes, group.Wait()
}

// loaders is how many recordings are decoded at once. Decoding and the extractor keep about a core busy each.
const loaders = 2

// holdOut takes every sixth take away for the choice of the checkpoint, at least one. The recordings of one take stay on
// one side: another view of a take that was trained on would flatter.
func holdOut(takes []LabelledTake) (learn, heldOut []LabelledTake) {
	number := map[string]int{}
	for _, t := range takes {
		take := filepath.Dir(t.Name)
		if _, ok := number[take]; !ok {
			number[take] = len(number)
		}
		if number[take]%6 == 1 || len(number) == 2 && number[take] == 1 {
			heldOut = append(heldOut, t)
		} else {
			learn = append(learn, t)
		}
	}
	return learn, heldOut
}

// student distils, checks and releases.
func (t *Trainer) student(ctx context.Context) error {
	var takes []*PairedTake
	devices := map[string]bool{}
	for _, id := range t.archive.Ended() {
		p, err := t.archive.Take(id)
		if err != nil {
			t.log.Warn("take is left out", "take", id.String(), "error", err)
			continue
		}
		takes = append(takes, p)
		devices[id.Device] = true
	}
	if len(takes) == 0 {
		return errors.New("no paired take can be used")
	}
	t.log.Info("distillation begins", "takes", len(takes))
	d, err := Distil(ctx, t.teacher, SplitTakes(takes), t.recipe, t.progress)
	if err != nil {
		return err
	}
	log := t.log.With("f1_50_before", d.Report.Before.F1At50, "f1_50_after", d.Report.After.F1At50, "gate_pairs", d.Report.GatePairs)
	if !d.Report.Better {
		t.state.Candidate = "rejected by the gate"
		log.Warn("the student is not better on held-out pairs and is not released")
		if t.hooks.Rejected != nil {
			t.hooks.Rejected(d)
		}
		return nil
	}
	info, err := t.releaser.publish(ctx, d.Student, t.extractor, t.state.Teacher.Release, d.Report)
	if err != nil {
		return err
	}
	for device := range devices {
		if err := t.releaser.assign(ctx, info, device); err != nil {
			return err
		}
	}
	t.state.Release, t.state.Candidate = info.Release, "released"
	log.Info("student is released", "release", info.Release)
	if t.hooks.Released != nil {
		t.hooks.Released(info, d)
	}
	return nil
}

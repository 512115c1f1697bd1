package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"tandem/runtime/feature"
	"tandem/stream/bus"
	"tandem/tas"
	"tandem/trainer/gate"
	"tandem/trainer/jobs"
)

// makeTeacher does the job of making the line's teacher: it is trained, released and assigned to every device.
func (t *Trainer) makeTeacher(ctx context.Context, c *jobs.Claim) error {
	if t.line != nil {
		return c.Close(ctx, jobs.Released, nil)
	}
	shared, err := t.reservedTeacher(ctx, c)
	if err != nil {
		return err
	}
	if shared == nil {
		if shared, err = t.trainTeacher(ctx, c); err != nil {
			return err
		}
	}
	info, err := t.releaser.releases.Info(ctx, shared.Release)
	if err != nil {
		return err
	}
	if err := t.releaser.assign(ctx, info, bus.DefaultDevice); err != nil {
		return err
	}
	if err := t.board.SetTeacher(ctx, shared); err != nil {
		return err
	}
	if err := c.Close(ctx, jobs.Released, nil); err != nil {
		return err
	}
	if t.hooks.Released != nil {
		t.hooks.Released(info, nil)
	}
	return nil
}

// reservedTeacher returns the teacher that a trainer has released which ended before it could say so; nil if there is none.
func (t *Trainer) reservedTeacher(ctx context.Context, c *jobs.Claim) (*lineTeacher, error) {
	if c.Job.Release == "" {
		return nil, nil //nolint:nilnil // see above
	}
	_, err := t.releaser.releases.Info(ctx, c.Job.Release)
	if errors.Is(err, bus.ErrNoRelease) {
		return nil, nil //nolint:nilnil // see above
	}
	if err != nil {
		return nil, err
	}
	var shared lineTeacher
	return &shared, json.Unmarshal(c.Job.Report, &shared)
}

// trainTeacher trains and releases a teacher. The hub has its checkpoint before it has the release.
func (t *Trainer) trainTeacher(ctx context.Context, c *jobs.Claim) (*lineTeacher, error) {
	takes, labels, err := t.labelled(ctx)
	if err != nil {
		return nil, permanent{err}
	}
	learn, heldOut := holdOut(takes)
	n, err := TrainLabelled(ctx, "teacher", learn, heldOut, labels, t.cfg.Labelled.Background, t.recipe, t.progress)
	if err != nil {
		return nil, permanent{err}
	}
	report := TeacherReport{Method: "labels", Seed: t.recipe.Seed, TrainRecordings: len(learn)}
	if report.ChosenOn, err = n.Score(heldOut); err != nil {
		return nil, permanent{err}
	}
	if report.Calibration, err = n.calibrate(heldOut); err != nil {
		return nil, permanent{err}
	}
	t.log.Info("teacher is trained", "takes", len(learn), "held_out", len(heldOut), "f1_50", report.ChosenOn.F1At50, "mof", report.ChosenOn.MoF,
		"temperature", report.Calibration.Temperature)
	name, err := t.releaser.next(ctx, t.board)
	if err != nil {
		return nil, err
	}
	stored, err := n.store(t.cfg.Store, name)
	if err != nil {
		return nil, err
	}
	shared := &lineTeacher{Release: name, Network: *stored, Report: report}
	if err := t.board.PutFile(ctx, stored.Checkpoint, filepath.Join(t.cfg.Store, stored.Checkpoint)); err != nil {
		return nil, err
	}
	if err := c.Reserve(ctx, name, []string{bus.DefaultDevice}, shared); err != nil {
		return nil, err
	}
	_, err = t.releaser.publish(ctx, name, n, t.extractor, "", report)
	return shared, err
}

// calibrate finds the temperature of the network's confidence on labelled takes.
func (n *Network) calibrate(takes []LabelledTake) (gate.Calibration, error) {
	sequences := make([]*Sequence, len(takes))
	for i, t := range takes {
		sequences[i] = t.Sequence
	}
	said, err := n.probs(sequences...)
	if err != nil {
		return gate.Calibration{}, err
	}
	list := make([]gate.Rated, len(takes))
	for i, t := range takes {
		list[i] = gate.Rated{Name: t.Name, Probs: said[i], Classes: t.Classes, Weights: t.Weights}
	}
	return gate.Calibrate(list, n.Labels.Len())
}

// TeacherReport goes into the teacher's release.
type TeacherReport struct {
	Method          string     `json:"method"`
	Seed            uint64     `json:"seed"`
	TrainRecordings int        `json:"train_recordings"`
	ChosenOn        tas.Scores `json:"chosen_on"` // on the held-out labelled takes that chose the checkpoint: not a test score
	// Calibration makes the teacher's confidence a probability; it was found on the same takes.
	Calibration gate.Calibration `json:"calibration"`
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

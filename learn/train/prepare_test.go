package train_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/learn/train"
)

// TestSamplesMayBeMadeWhenTheirStepComes: placeholders that a hook turns into samples train the same network as the samples
// themselves, also when the run is interrupted in between; what is made is checked.
func TestSamplesMayBeMadeWhenTheirStepComes(t *testing.T) {
	samples := sequences(6, 1)
	byName, slots := map[string]train.Sample{}, make([]train.Sample, len(samples))
	for i, s := range samples {
		byName[s.Name] = s
		slots[i] = train.Sample{Name: s.Name, Frames: s.Frames}
	}
	cfg := train.FitConfig{Epochs: 4, Batch: 2, Rate: 0.01, EMA: 0.9, Seed: 3}
	fit := func(ctx context.Context, list []train.Sample, cfg train.FitConfig, hooks train.Hooks) ([]float32, error) {
		p, err := small.NewParams(1)
		if err != nil {
			t.Fatal(err)
		}
		tr := newTrainer(t, p, labelled, train.Config{Clip: 5, Buckets: []int{120}, Seed: 1})
		_, err = train.Fit(ctx, tr, list, cfg, hooks)
		return slices.Clone(p.Weights), err
	}
	var steps []int
	hooks := train.Hooks{Prepare: func(_ context.Context, step int, batch []train.Sample) ([]train.Sample, error) {
		steps = append(steps, step)
		out := make([]train.Sample, len(batch))
		for i, s := range batch {
			out[i] = byName[s.Name]
		}
		return out, nil
	}}
	want, err := fit(t.Context(), samples, cfg, train.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := fit(t.Context(), slots, cfg, hooks)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("samples that are made when their step comes train another network: %v", err)
	}
	if len(steps) != 12 || steps[0] != 0 || steps[11] != 11 {
		t.Errorf("samples were made for the steps %v, expected 0 to 11", steps)
	}
	cfg.State = filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancel(t.Context())
	stopping := hooks
	stopping.Progress = func(p train.Progress) {
		if p.Epoch == 2 {
			cancel()
		}
	}
	if _, err := fit(ctx, slots, cfg, stopping); err == nil {
		t.Fatal("the run was not interrupted")
	}
	steps = nil
	if got, err := fit(t.Context(), slots, cfg, hooks); err != nil || !slices.Equal(got, want) || steps[0] != 6 {
		t.Errorf("a run that was resumed at step %v trains another network: %v", steps[:1], err)
	}
	cfg.State = ""
	spoilt := byName[samples[2].Name].Float["features"]
	spoilt[7] = float32(math.NaN())
	if _, err := fit(t.Context(), slots, cfg, hooks); err == nil || !strings.Contains(err.Error(), samples[2].Name) {
		t.Errorf("a NaN that was made: %v", err)
	}
}

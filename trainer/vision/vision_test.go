package vision_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/learn/net"
	"tandem/learn/train"
	"tandem/runtime/bundle"
	"tandem/sim"
	"tandem/tas"
	"tandem/trainer"
	"tandem/trainer/backbone"
	"tandem/trainer/vision"
)

// small is a network that trains within a second.
var small = net.DepthwiseCNN{Width: 32, Height: 32, Stem: 8, Out: 16, Grid: 2, Blocks: []net.CNNBlock{{Channels: 16, Stride: 2}, {Channels: 16, Stride: 2}}}

// recordings renders takes of the simulated cell, small and with few frames, of one camera.
func recordings(t *testing.T, takes int, camera string) []trainer.Recording {
	t.Helper()
	dir := t.TempDir()
	b := sim.Batch{Config: sim.Config{Seed: 5, Length: 12 * time.Second, FPS: 5, Cameras: sim.DefaultCameras(camera)}}
	for i := range b.Config.Cameras {
		b.Config.Cameras[i].Width, b.Config.Cameras[i].Height = 64, 48
	}
	for i := range takes {
		b.Takes = append(b.Takes, sim.TakeSpec{Name: "take-" + string(rune('a'+i)), Index: i})
	}
	if _, err := b.Render(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	list, err := trainer.FindRecordings(dir, camera)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// read reads the pictures of recordings; their classes are those of more recordings, too.
func read(t *testing.T, list []trainer.Recording, rate float64, more ...trainer.Recording) (*vision.Frames, tas.Labels) {
	t.Helper()
	classes, err := trainer.ClassesOf(slices.Concat(list, more), []string{"background"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := vision.ReadFrames(t.Context(), list, backbone.Contract(small), rate, classes, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, classes
}

func config() vision.Config {
	c := vision.DefaultConfig()
	c.Network, c.Epochs, c.Batch, c.Rate, c.EMA, c.Seed, c.Augment = small, 8, 10, 1e-2, 0.9, 3, vision.Augment{Shift: 0.02, Light: 0.1}
	return c
}

func TestFramesHaveTheLabelsOfTheirInstants(t *testing.T) {
	list := recordings(t, 2, "exo1")
	f, classes := read(t, list, 2)
	if len(f.Takes) != 2 || f.Len() < 46 || f.Len() > 50 {
		t.Fatalf("%d pictures of %q, expected 2 a second of 12 s of two takes", f.Len(), f.Takes)
	}
	// Every half second of the first take, within half a second of what labels.txt says.
	for i, class := range f.Classes[:f.Len()/2] {
		at := float64(i) / 2
		around := list[0].Labels[max(int((at-0.5)*5), 0):min(int((at+0.5)*5)+1, len(list[0].Labels))]
		if !slices.Contains(around, classes.Name(class)) {
			t.Errorf("picture %d at %.1f s is %q, labels.txt has %q", i, at, classes.Name(class), around)
		}
	}
	a, b := make([]byte, 3*32*32), make([]byte, 3*32*32)
	if err := errors.Join(f.Read(0, a), f.Read(f.Len()-1, b)); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(a, b) || slices.Max(a) < 100 {
		t.Error("the first and the last picture are the same, or black")
	}
}

func TestTrainingLearnsAndGoesOnWhereItWas(t *testing.T) {
	list := recordings(t, 4, "exo1")
	pictures, classes := read(t, list[:3], 4, list[3])
	choose, err := vision.ReadFrames(t.Context(), list[3:], backbone.Contract(small), 4, classes, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = choose.Close() }()
	c := config()
	var losses []float64
	whole, err := vision.Train(t.Context(), pictures, choose, classes.Len(), c, func(p train.Progress) { losses = append(losses, p.Loss) })
	if err != nil {
		t.Fatal(err)
	}
	if last := losses[len(losses)-1]; last > 0.8*losses[0] {
		t.Errorf("the loss fell from %g to %g only", losses[0], last)
	}
	// Chance is one class of many.
	if whole.Choice.Colour < 150/float64(classes.Len()) || whole.Epoch < 1 {
		t.Errorf("recall %+v in epoch %d, of %d classes", whole.Choice, whole.Epoch, classes.Len())
	}
	c.State = filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancel(t.Context())
	_, err = vision.Train(ctx, pictures, choose, classes.Len(), c, func(p train.Progress) {
		if p.Epoch == 3 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted run ends with %v", err)
	}
	resumed, err := vision.Train(t.Context(), pictures, choose, classes.Len(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(resumed.Params.Weights, whole.Params.Weights) || resumed.Choice != whole.Choice {
		t.Errorf("the run that was resumed has other weights, or scores: %+v, %+v", resumed.Choice, whole.Choice)
	}
}

func TestTrainingThatCannotBeIsRefused(t *testing.T) {
	list := recordings(t, 1, "exo1")
	f, classes := read(t, list, 1)
	for want, spoil := range map[string]func(*vision.Config){
		"0 epochs":       func(c *vision.Config) { c.Epochs = 0 },
		"a batch of 400": func(c *vision.Config) { c.Batch = 400 },
		"learning rate":  func(c *vision.Config) { c.Rate = 0 },
		"a grid of 9":    func(c *vision.Config) { c.Network.Grid = 9 },
		"diverged":       func(c *vision.Config) { c.Rate = 1e30 },
	} {
		c := config()
		spoil(&c)
		if _, err := vision.Train(t.Context(), f, f, classes.Len(), c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected an error with %q", err, want)
		}
	}
	list[0].Labels = list[0].Labels[:15]
	_, err := vision.ReadFrames(t.Context(), list, backbone.Contract(small), 1, classes, nil)
	if err == nil || !strings.Contains(err.Error(), "the labels are not of this video") {
		t.Errorf("too few labels: %v", err)
	}
	if err := os.WriteFile(list[0].Video, []byte("junk"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := vision.ReadFrames(t.Context(), list, backbone.Contract(small), 1, classes, nil); err == nil {
		t.Error("a damaged video was read")
	}
	if _, err := vision.ReadFrames(t.Context(), list, bundle.Extractor{}, 1, classes, nil); err == nil {
		t.Error("a contract without fields was taken")
	}
}

// pictures are numbered pictures in memory.
type pictures [][]byte

func (p pictures) Len() int  { return len(p) }
func (p pictures) Size() int { return len(p[0]) }
func (p pictures) Read(i int, dst []byte) error {
	copy(dst, p[i])
	return nil
}

// stored reads all pictures of a recording.
func stored(t *testing.T, r trainer.Recording, classes tas.Labels) pictures {
	t.Helper()
	f, err := vision.ReadFrames(t.Context(), []trainer.Recording{r}, backbone.Contract(small), 4, classes, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	p := make(pictures, f.Len())
	for i := range p {
		p[i] = make([]byte, f.Size())
		if err := f.Read(i, p[i]); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// TestRegressionBringsEgoFeaturesToExoOnes on a rendered take that it was not trained on.
func TestRegressionBringsEgoFeaturesToExoOnes(t *testing.T) {
	exo, ego := recordings(t, 3, "exo1"), recordings(t, 3, "ego")
	classes, err := trainer.ClassesOf(exo, []string{"background"})
	if err != nil {
		t.Fatal(err)
	}
	// An extractor that has seen the exo side.
	frames, _ := read(t, exo[:2], 4, exo[2])
	first := config()
	first.Epochs = 4
	r, err := vision.Train(t.Context(), frames, frames, classes.Len(), first, nil)
	if err != nil {
		t.Fatal(err)
	}
	from, err := backbone.New(small, r.Params, nil)
	if err != nil {
		t.Fatal(err)
	}
	eyes, err := vision.Open(from, vision.DefaultConfig().Session)
	if err != nil {
		t.Fatal(err)
	}
	var lessons []vision.Lesson
	for i := range exo {
		x, e := stored(t, exo[i], classes), stored(t, ego[i], classes)
		n := min(len(x), len(e))
		target, err := eyes.See(x[:n])
		if err != nil {
			t.Fatal(err)
		}
		weights := make([]float32, n)
		for k := range weights {
			weights[k] = float32(min(k, 1)) // the first has no partner
		}
		lessons = append(lessons, vision.Lesson{Pictures: e[:n], Target: target, Weights: weights})
	}
	if err := eyes.Close(); err != nil {
		t.Fatal(err)
	}
	c := vision.Follow{Config: config(), Steps: 10}
	c.Rate = 3e-3
	before, err := vision.Distance(from, lessons[2:], c.Config)
	if err != nil {
		t.Fatal(err)
	}
	student, err := vision.Regress(t.Context(), from, lessons[:2], c, nil)
	if err != nil {
		t.Fatal(err)
	}
	after, err := vision.Distance(student, lessons[2:], c.Config)
	if err != nil {
		t.Fatal(err)
	}
	if !(after < 0.7*before) {
		t.Errorf("the mean squared error falls from %g to %g, expected to less than 0.7 of it", before, after)
	}
	if slices.Equal(student.Params.Weights, from.Params.Weights) {
		t.Error("nothing was learnt")
	}
	c.Choose = lessons[2:]
	chosen, err := vision.Regress(t.Context(), from, lessons[:2], c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if best, err := vision.Distance(chosen, lessons[2:], c.Config); err != nil || best > after {
		t.Errorf("the epoch chosen by the third take has error %g there, the last one %g: %v", best, after, err)
	}
	lessons[1].Weights = lessons[1].Weights[1:]
	if _, err := vision.Regress(t.Context(), from, lessons, c, nil); err == nil || !strings.Contains(err.Error(), "lesson 1") {
		t.Errorf("a weight is missing: %v", err)
	}
}

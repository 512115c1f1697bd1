package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"tandem/learn/graph"
	"tandem/runtime/bundle"
	"tandem/runtime/feature"
	"tandem/runtime/ort"
	"tandem/sim"
	"tandem/stream/capture"
)

// side is that of the test extractor's picture.
const side = 8

// brightness is an extractor whose features are the picture's grey values, 0 to 255, so that they tell which frame they
// are of.
func brightness(t *testing.T) *feature.Extractor {
	t.Helper()
	g := graph.New(graph.Float32)
	g.Output("features", g.Reshape(g.Input("image", graph.Float32, 1, 1, side, side), 1, side*side))
	model, err := g.Model()
	if err != nil {
		t.Fatal(err)
	}
	ex, err := feature.New(model, bundle.Extractor{
		Input: bundle.Image{
			Name: "image", Width: side, Height: side, Layout: "NCHW", Channels: "GRAY", Fit: "stretch",
			Scale: 1, Mean: []float64{0}, Std: []float64{1},
		},
		Output: "features", Dim: side * side,
	}, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return ex
}

// videoRate is that of the rendered videos.
const videoRate = 30

// level is the brightness of frame i.
func level(i int) float64 { return float64(20 + 3*i) }

// video renders n even frames that grow brighter, into an .avi, whose JPEGs keep the levels.
func video(t *testing.T, path string, n int) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	w, err := gocv.VideoWriterFileWithAPI(path, gocv.VideoCaptureFFmpeg, "MJPG", videoRate, 64, 48, true)
	if err != nil || !w.IsOpened() {
		t.Fatalf("write %s: %v", path, err)
	}
	for i := range n {
		m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(level(i), level(i), level(i), 0), 48, 64, gocv.MatTypeCV8UC3)
		err := w.Write(m)
		if err := errors.Join(err, m.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkFrames checks that each sample's features are those of the frame that it says.
func checkFrames(t *testing.T, s *Sequence) {
	t.Helper()
	if len(s.Times) != s.Len() || len(s.Frames) != s.Len() || len(s.Features) != s.Len()*s.Dim {
		t.Fatalf("%d weights, %d times, %d frames, %d features of %d", s.Len(), len(s.Times), len(s.Frames), len(s.Features), s.Dim)
	}
	for i, f := range s.Frames {
		if got := float64(s.Row(i)[0]); math.Abs(got-level(int(f))) > 1.5 { // less than a frame's difference
			t.Errorf("sample %d is of frame %d, its brightness %g, want %g", i, f, got, level(int(f)))
		}
	}
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines is a label file of n labels each in turn.
func lines(n int, labels ...string) string {
	var b strings.Builder
	for _, l := range labels {
		b.WriteString(strings.Repeat(l+"\n", n))
	}
	return b.String()
}

// TestLoadByFrame: without truth.json, label i is that of frame i.
func TestLoadByFrame(t *testing.T) {
	dir := t.TempDir()
	video(t, filepath.Join(dir, "a take", "exo1.avi"), 60)
	writeText(t, filepath.Join(dir, "a take", LabelsFile), lines(20, "nothing", "pick up", "screw"))
	list, err := FindRecordings(dir, "exo*")
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	classes, err := ClassesOf(list, []string{"nothing"})
	if err != nil {
		t.Fatal(err)
	}
	take, err := list[0].Load(t.Context(), brightness(t), 10, classes)
	if err != nil {
		t.Fatal(err)
	}
	checkFrames(t, take.Sequence)
	if take.Name != "a take/exo1" || take.Len() != 21 || slices.Contains(take.Weights, 0) {
		t.Errorf("%s has %d samples with weights %v", take.Name, take.Len(), take.Weights)
	}
	for i, f := range take.Frames {
		// The first frame from half a period before the tick on.
		if want := max(3*i-1, 0); f != int64(want) || take.Classes[i] != want/20 {
			t.Errorf("sample %d is frame %d of class %d, want frame %d of class %d", i, f, take.Classes[i], want, want/20)
		}
	}
}

// TestLoadByTime: with truth.json, a sample's label is that of the instant at which its frame was taken, though frames
// are missing and the camera runs at a rate of its own.
func TestLoadByTime(t *testing.T) {
	dir := t.TempDir()
	process := &sim.Process{}
	for i, label := range []string{"pick", "screw", "pick"} {
		process.Steps = append(process.Steps, sim.Step{Start: 30 + 40*i, End: 55 + 40*i, Label: label}) // at 30 fps
	}
	camera := sim.Camera{ID: "exo1", Width: 64, Height: 48, FPS: 24, Clock: sim.Clock{Drop: 0.1}}
	b := sim.Batch{
		Config: sim.Config{Seed: 5, Length: 5 * time.Second, FPS: 20, Cameras: []sim.Camera{camera}, Processes: []*sim.Process{process}},
		Takes:  []sim.TakeSpec{{Name: "one"}},
	}
	takes, err := b.Render(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := FindRecordings(dir, "exo1")
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	classes, err := ClassesOf(list, []string{sim.Background})
	if err != nil || classes.Len() != 3 {
		t.Fatal(classes.Names(), err)
	}
	got, err := list[0].Load(t.Context(), brightness(t), 12, classes)
	if err != nil {
		t.Fatal(err)
	}
	truth, ok := takes[0].Camera("exo1")
	if !ok {
		t.Fatal("no truth about exo1")
	}
	seen := map[string]int{}
	for i, c := range got.Classes {
		want := takes[0].LabelAt(truth.CaptureNS[got.Frames[i]])
		if got.Weights[i] > 0 && classes.Name(c) != want {
			t.Errorf("sample %d, frame %d: %q, the truth is %q", i, got.Frames[i], classes.Name(c), want)
		}
		seen[want]++
	}
	if len(seen) != 3 || got.Len() < 50 {
		t.Errorf("only %v were seen in %d samples", seen, got.Len())
	}
}

func TestLoadRefusesLabelsOfAnotherVideo(t *testing.T) {
	dir := t.TempDir()
	path := video(t, filepath.Join(dir, "exo1.avi"), 60)
	ex := brightness(t)
	for name, c := range map[string]struct {
		labels int
		want   string
	}{
		"too few":  {40, "lies at label 56 of 40: the labels are not of this video"},
		"too many": {80, "the last sample of "},
		"a little less, of a camera that stopped late":  {50, ""},
		"a little more, of a camera that stopped early": {74, ""},
		"none": {0, "of 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Recording{Take: "take", Video: path, Labels: slices.Repeat([]string{"a"}, c.labels)}
			classes, err := ClassesOf([]Recording{r}, []string{"b"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Load(t.Context(), ex, 10, classes)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	r := Recording{Take: "take", Video: path, Labels: slices.Repeat([]string{"a"}, 60)}
	classes, err := ClassesOf([]Recording{r}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Labels[7] = "unheard of"
	if _, err := r.Load(t.Context(), ex, 10, classes); err == nil || !strings.Contains(err.Error(), `frame 7: the label "unheard of"`) {
		t.Errorf("an unknown label: %v", err)
	}
	r.Labels[7] = "a"
	r.Start, r.FPS = 1, videoRate // the video's times are those of today
	if _, err := r.Load(t.Context(), ex, 10, classes); err == nil || !strings.Contains(err.Error(), "the labels are not of this video") {
		t.Errorf("labels of 1970: %v", err)
	}
}

// sidecar writes stamps beside a video: frame i at i/30 s, from frame gap on later by so much.
func sidecar(t *testing.T, video string, n, gap int, later time.Duration) {
	t.Helper()
	var b strings.Builder
	b.WriteString("frame,raw_ns\n")
	for i := range n {
		at := testStart + int64(i)*1e9/videoRate
		if i >= gap {
			at += int64(later)
		}
		fmt.Fprintf(&b, "%d,%d\n", i, at)
	}
	writeText(t, strings.TrimSuffix(video, filepath.Ext(video))+".stamps.csv", b.String())
}

func TestExtractSequenceFillsGaps(t *testing.T) {
	path := video(t, filepath.Join(t.TempDir(), "ego.avi"), 60)
	ex := brightness(t)
	extract := func() (*Sequence, error) {
		return ExtractSequence(t.Context(), "ego", ex, 10, capture.Config{Source: path})
	}
	sidecar(t, path, 60, 30, 400*time.Millisecond)
	s, err := extract()
	if err != nil {
		t.Fatal(err)
	}
	checkFrames(t, s)
	for i, at := range s.Times {
		if off := math.Abs(float64(at - testStart - int64(i)*1e8)); off > 50e6 {
			t.Errorf("sample %d is %g ms off the grid", i, off/1e6)
		}
		lost := i >= 11 && i < 14
		if (s.Weights[i] == 0) != lost || lost && s.Frames[i] != 29 {
			t.Errorf("sample %d has weight %g and frame %d", i, s.Weights[i], s.Frames[i])
		}
	}
	if s.Len() != 25 {
		t.Errorf("%d samples, want 25", s.Len())
	}
	sidecar(t, path, 60, 30, 5100*time.Millisecond)
	if s, err := extract(); err != nil || s.Len() != 72 {
		t.Errorf("5 s lost: %v, want them filled in", err)
	}
	sidecar(t, path, 60, 30, 5200*time.Millisecond)
	if _, err := extract(); err == nil || !strings.Contains(err.Error(), "extract ego: ego: 51 samples (5.1 s) are lost at once after sample 10") {
		t.Errorf("5.1 s lost: %v", err)
	}
}

func TestExtractSequenceRefuses(t *testing.T) {
	dir := t.TempDir()
	ex := brightness(t)
	path := video(t, filepath.Join(dir, "ego.avi"), 30)
	junk := filepath.Join(dir, "junk.mp4")
	writeText(t, junk, "not a video")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		source string
		rate   float64
		is     error
		want   string
	}{
		"missing":  {t.Context(), filepath.Join(dir, "none.mp4"), 10, fs.ErrNotExist, "none.mp4"},
		"junk":     {t.Context(), junk, 10, nil, "junk.mp4"},
		"rate":     {t.Context(), path, 0, nil, "sampling rate 0"},
		"canceled": {canceled, path, 10, context.Canceled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ExtractSequence(c.ctx, "take", ex, c.rate, capture.Config{Source: c.source})
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestFindRecordings(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"b/exo1.mp4", "b/exo2.MP4", "b/ego.mp4", "b/exo1.stamps.csv", "deep/down/a/exo.1.mkv", "no labels/exo1.mp4"} {
		writeText(t, filepath.Join(dir, f), "")
	}
	if err := os.Mkdir(filepath.Join(dir, "b", "exo3.mp4"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "b", LabelsFile), "x\ny\n")
	writeText(t, filepath.Join(dir, "deep", "down", "a", LabelsFile), "z\n")
	list, err := FindRecordings(dir, "exo?", "e*o.1")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		rel, err := filepath.Rel(dir, r.Video)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r.Take+":"+filepath.ToSlash(rel)+":"+strings.Join(r.Labels, ","))
		if r.FPS != 0 || r.Start != 0 {
			t.Errorf("%s begins at %d with %g fps, though nothing says so", r.Take, r.Start, r.FPS)
		}
	}
	if want := []string{"b:b/exo1.mp4:x,y", "b:b/exo2.MP4:x,y", "a:deep/down/a/exo.1.mkv:z"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindRecordingsRefuses(t *testing.T) {
	take := func(files map[string]string) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := t.TempDir()
			for f, text := range files {
				writeText(t, filepath.Join(dir, "take", f), text)
			}
			return dir
		}
	}
	for name, c := range map[string]struct {
		dir     func(t *testing.T) string
		cameras []string
		want    string
	}{
		"no directory":        {func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, []string{"exo*"}, "none"},
		"no take":             {take(map[string]string{"exo1.mp4": ""}), []string{"exo*"}, "holds no take: expected directories with labels.txt"},
		"no matching video":   {take(map[string]string{"ego.mp4": "", LabelsFile: "a\n"}), []string{"exo*", "top"}, "has labels and no video of exo*, top"},
		"no labels in a file": {take(map[string]string{"exo1.mp4": "", LabelsFile: ""}), []string{"exo*"}, "labels.txt is empty"},
		"a broken truth":      {take(map[string]string{"exo1.mp4": "", LabelsFile: "a\n", sim.TruthFile: "{"}), []string{"exo*"}, sim.TruthFile},
		"a bad pattern":       {take(map[string]string{"ego.mp4": "", LabelsFile: "a\n"}), []string{"[exo"}, `the camera "[exo" is no pattern`},
		"no camera":           {take(map[string]string{"exo1.mp4": "", LabelsFile: "a\n"}), nil, "no camera is named"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := FindRecordings(c.dir(t), c.cameras...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestClassesOf(t *testing.T) {
	list := []Recording{{Labels: []string{"z", "idle", "b"}}, {Labels: []string{"b", "a a"}}}
	got, err := ClassesOf(list, []string{"idle", "walk"})
	if want := []string{"idle", "walk", "a a", "b", "z"}; err != nil || !slices.Equal(got.Names(), want) {
		t.Errorf("got %q, %v; want %q", got.Names(), err, want)
	}
	if _, err := ClassesOf(list, []string{"idle", "idle"}); err == nil {
		t.Error("a background class was taken twice")
	}
}

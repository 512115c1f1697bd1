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

	"tandem/runtime/feature"
	"tandem/sim"
	"tandem/stream/capture"
	"tandem/tas"
)

// LabelsFile is the name of a take's label file: one label a line.
const LabelsFile = sim.LabelsFile

// Recording is one camera's video of a labelled take.
type Recording struct {
	Take   string
	Video  string
	Labels []string // one a line of the take's label file
	// Start and FPS place the labels: label i holds from Start + i/FPS. With FPS 0, label i is that of the video's frame i.
	Start int64
	FPS   float64
}

// FindRecordings lists the videos of the labelled takes below dir whose names (without the ending) match one of the
// cameras, a path.Match pattern such as "exo*". A take is a directory with labels.txt and videos (.mp4, .avi, .mkv,
// .mov); truth.json, where there is one, says when the labels hold, otherwise label i is that of video frame i. A
// directory without a single labelled take, and a take without a matching video, are errors.
func FindRecordings(dir string, cameras ...string) ([]Recording, error) {
	for _, c := range cameras {
		if _, err := filepath.Match(c, ""); err != nil {
			return nil, fmt.Errorf("labelled takes: the camera %q is no pattern: %w", c, err)
		}
	}
	if len(cameras) == 0 {
		return nil, errors.New("labelled takes: no camera is named; expected patterns such as exo*")
	}
	var list []Recording
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() || e.Name() != LabelsFile {
			return nil
		}
		found, err := recordingsOf(filepath.Dir(path), cameras)
		list = append(list, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("labelled takes: %w", err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("labelled takes: %s holds no take: expected directories with %s and videos %s",
			dir, LabelsFile, strings.Join(cameras, ", "))
	}
	return list, nil
}

var videoEndings = []string{".mp4", ".avi", ".mkv", ".mov"}

func recordingsOf(take string, cameras []string) ([]Recording, error) {
	labels, err := tas.ReadFrames(filepath.Join(take, LabelsFile))
	if err != nil {
		return nil, err
	}
	r := Recording{Take: filepath.Base(take), Labels: labels}
	truth, err := sim.ReadTake(take)
	switch {
	case err == nil:
		r.Start, r.FPS = truth.StartNS, truth.FPS
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	entries, err := os.ReadDir(take)
	if err != nil {
		return nil, err
	}
	var list []Recording
	for _, e := range entries {
		ending := filepath.Ext(e.Name())
		name := strings.TrimSuffix(e.Name(), ending)
		if e.IsDir() || !slices.Contains(videoEndings, strings.ToLower(ending)) {
			continue
		}
		if slices.ContainsFunc(cameras, func(pattern string) bool {
			ok, _ := filepath.Match(pattern, name) // the patterns have been checked
			return ok
		}) {
			r.Video = filepath.Join(take, e.Name())
			list = append(list, r)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("take %s has labels and no video of %s", take, strings.Join(cameras, ", "))
	}
	return list, nil
}

// ClassesOf returns the class list of labelled takes: background labels first, as given, then the others in the order
// of their names.
func ClassesOf(list []Recording, background []string) (tas.Labels, error) {
	seen := map[string]bool{}
	for _, b := range background {
		seen[b] = true
	}
	var names []string
	for _, r := range list {
		for _, l := range r.Labels {
			if !seen[l] {
				seen[l] = true
				names = append(names, l)
			}
		}
	}
	slices.Sort(names)
	return tas.NewLabels(append(slices.Clone(background), names...)...)
}

// Load extracts a recording's features and gives each sample its label. Labels that do not fit the video's length, by more
// than a camera's late stop explains, are an error: they are of another video.
func (r Recording) Load(ctx context.Context, ex *feature.Extractor, rate float64, classes tas.Labels) (LabelledTake, error) {
	name := r.Take + "/" + strings.TrimSuffix(filepath.Base(r.Video), filepath.Ext(r.Video))
	s, err := ExtractSequence(ctx, name, ex, rate, capture.Config{Source: r.Video})
	if err != nil {
		return LabelledTake{}, err
	}
	all, err := classes.Encode(r.Labels)
	if err != nil {
		return LabelledTake{}, fmt.Errorf("%s: %s: %w", r.Take, LabelsFile, err)
	}
	t := LabelledTake{Sequence: s, Classes: make([]int, s.Len())}
	n := int64(len(all))
	slack := r.slack()
	for i := range t.Classes {
		at := r.label(s.Times[i], s.Frames[i])
		if n == 0 || at < -slack || at >= n+slack {
			return LabelledTake{}, fmt.Errorf("%s: frame %d of %s lies at label %d of %d: the labels are not of this video",
				r.Take, s.Frames[i], r.Video, at, n)
		}
		t.Classes[i] = all[min(max(at, 0), n-1)]
	}
	// With a label a frame, labels beyond the last frame's tell the same. A sample stands for the frames up to the next.
	if last := s.Frames[s.Len()-1]; r.FPS == 0 && last+stride(s.Frames)+slack < n {
		return LabelledTake{}, fmt.Errorf("%s: the last sample of %s is frame %d, but there are %d labels: the labels are not of this video, or it is cut off",
			r.Take, r.Video, last, n)
	}
	return t, nil
}

// slack is how many labels a video may be longer: half a second beyond the last label is a camera that stopped late; more
// is another video's labels.
func (r Recording) slack() int64 { return int64(max(r.FPS, 30) / 2) }

// label returns the number of the label that holds for the video's frame of that time and number.
func (r Recording) label(time, frame int64) int64 {
	if r.FPS == 0 {
		return frame
	}
	return int64(math.Floor(float64(time-r.Start) / 1e9 * r.FPS))
}

// stride returns the greatest distance between successive frame numbers.
func stride(frames []int64) int64 {
	most := int64(0)
	for i := 1; i < len(frames); i++ {
		most = max(most, frames[i]-frames[i-1])
	}
	return most
}

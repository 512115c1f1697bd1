package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"tandem/tas"
	"tandem/trainer/dataset"
	"tandem/trainer/replay"
)

// labelFileExt ends the name of each file that eval reads.
const labelFileExt = ".txt"

type evalOptions struct {
	gt, pred   string
	online     string
	device     string
	fps        float64
	background []string
	json       bool
	perVideo   bool

	window                    []int
	stream                    []string // bundles to replay --data through
	data, format, onnxruntime string
	replay                    replay.Options
}

func newEval() *cobra.Command {
	var o evalOptions
	cmd := &cobra.Command{
		Use:   "eval --gt DIR --pred DIR | eval --gt DIR --online EVENTS --fps F | eval --stream BUNDLE --data DIR",
		Short: "Score predicted labels against the true ones: MoF, Edit, F1@10, F1@25, F1@50",
		Long: `Score predicted labels against the true ones.

Both folders hold one NAME.txt for each video, with one label a line and one line a frame; labels may hold spaces.
The two files of a video must have as many lines. Other files in the folders are ignored. Scores are in per cent;
docs/metrics.md says what each of them means.

With --online, the events that a device published are scored instead: both streams, how late starts were confirmed and how
near they are, how often the provisional stream was revised. EVENTS is the file that tandem agent --events and tandem demo
write (docs/segments.md); DIR/TAKE.txt is the truth of a take, of --fps frames a second.

With --stream, the test takes of a data set are played through a bundle's segmenter, sample by sample as on a device, and both streams
are scored beside the same network over whole takes: with and without commit lag, label hold and transition prior. --stream is a bundle,
or the directory that tandem train run wrote; several, such as those of several seeds, give means and spread.`,
		Example: `  # the table of all videos together
  tandem eval --gt takes/labels --pred build/pred --background background

  # two classes that are no actions, every video for itself, for a program
  tandem eval --gt gt --pred pred --background "action start,action end" --per-video --json

  # the stream of a device
  tandem eval --online build/demo/seed-1/events.jsonl --gt build/demo/seed-1/truth --fps 15 --background background

  # what a device keeps of a network's score, committing after 2 s
  tandem eval --stream build/bench/rig --data build/bench/cell --lag 2`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(o.stream) > 0 {
				return runStreamEval(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
			}
			if o.data != "" {
				return usagef("--data is for --stream, which is missing: the bundle that its takes are played through")
			}
			return runEval(cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.gt, "gt", "", "folder of the true labels (required)")
	f.StringVar(&o.pred, "pred", "", "folder of the predicted labels (required without --online)")
	f.StringVar(&o.online, "online", "", "file of segment events to score instead of --pred")
	f.StringVar(&o.device, "device", "", "with --online: the device whose events are scored (default: the only one)")
	f.Float64Var(&o.fps, "fps", 0, "with --online: frames a second of the true labels (required)")
	f.StringSliceVar(&o.background, "background", nil, "classes that are no actions: their segments don't count in Edit and F1")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVar(&o.perVideo, "per-video", false, "score each video for itself, too")
	f.StringArrayVar(&o.stream, "stream", nil, "bundle, or directory of tandem train run, to play the takes of --data through; repeat it for several")
	f.StringVar(&o.data, "data", "", "with --stream: directory of the data set")
	f.StringVar(&o.format, "format", dataset.Auto, "with --stream: layout of the data set")
	f.StringVar(&o.replay.Fold, "fold", "", "with --stream: fold whose test takes are played (default: the only one)")
	f.StringVar(&o.replay.View, "view", "", "with --stream: view that is played (default: the ego view)")
	f.Float64Var(&o.replay.Lag, "lag", 0, "with --stream: seconds after which everything is committed (default: what the bundle says)")
	f.BoolVar(&o.replay.NoPrior, "no-prior", false, "with --stream: leave out the rows with the bundles' transition prior")
	f.IntSliceVar(&o.window, "window", nil, "with --stream: run networks that are not causal in windows of FRAMES,HOP,RIGHT (default: what the bundle says)")
	f.StringVar(&o.onnxruntime, "onnxruntime", "", "with --stream: ONNX Runtime's library (default: found)")
	return cmd
}

// evalReport is what `tandem eval --json` prints: the five scores on top, what they were computed from beside them.
type evalReport struct {
	tas.Scores
	Videos   int         `json:"videos"`
	Frames   int         `json:"frames"`
	PerVideo []evalVideo `json:"per_video,omitempty"`
}

// evalVideo is one video's part of the report.
type evalVideo struct {
	Video  string `json:"video"`
	Frames int    `json:"frames"`
	tas.Scores
}

func runEval(stdout, stderr io.Writer, o evalOptions) error {
	background, err := o.check()
	if err != nil {
		return err
	}
	if o.online != "" {
		return runOnlineEval(stdout, stderr, o, background)
	}
	names, err := pairLabelFiles(o.gt, o.pred)
	if err != nil {
		return err
	}
	videos := make([]tas.Video, len(names))
	for i, name := range names {
		if videos[i], err = readVideo(o.gt, o.pred, name); err != nil {
			return err
		}
	}
	for _, name := range background {
		if !slices.ContainsFunc(videos, func(v tas.Video) bool { return slices.Contains(v.GT, name) || slices.Contains(v.Pred, name) }) {
			fmt.Fprintf(stderr, "tandem: warning: no frame is of the background class %q\n", name)
		}
	}
	report, err := score(videos, background, o.perVideo)
	if err != nil {
		return err
	}
	for i := range report.PerVideo {
		report.PerVideo[i].Video = strings.TrimSuffix(names[i], labelFileExt)
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	return report.writeTable(stdout)
}

// check returns the names of the background classes, or says which flag is wrong.
func (o evalOptions) check() ([]string, error) {
	if o.gt == "" {
		return nil, usagef("--gt is missing: the folder of the true labels")
	}
	if o.online != "" {
		if err := o.checkOnline(); err != nil {
			return nil, err
		}
	} else if o.pred == "" {
		return nil, usagef("--pred is missing: the folder of the predicted labels")
	}
	background := make([]string, len(o.background))
	for i, name := range o.background {
		background[i] = strings.TrimSpace(name)
		if background[i] == "" {
			return nil, usagef("--background holds an empty name; expected NAME or NAME,NAME")
		}
	}
	return background, nil
}

// pairLabelFiles lists the files that stand in both folders, sorted. One that stands in one of them only is an error.
func pairLabelFiles(gt, pred string) ([]string, error) {
	truths, err := labelFiles(gt)
	if err != nil {
		return nil, err
	}
	claims, err := labelFiles(pred)
	if err != nil {
		return nil, err
	}
	if alone := without(truths, claims); len(alone) > 0 {
		return nil, fmt.Errorf("%s is missing: the prediction for %s%s",
			filepath.Join(pred, alone[0]), filepath.Join(gt, alone[0]), andMore(alone[1:]))
	}
	if alone := without(claims, truths); len(alone) > 0 {
		return nil, fmt.Errorf("%s has no ground truth: %s is missing%s; add it or take the prediction away",
			filepath.Join(pred, alone[0]), filepath.Join(gt, alone[0]), andMore(alone[1:]))
	}
	return truths, nil
}

// labelFiles lists the label files of a folder, sorted. None is an error.
func labelFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err // names the folder
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && filepath.Ext(e.Name()) == labelFileExt && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s holds no label files; expected NAME%s for each video", dir, labelFileExt)
	}
	return names, nil
}

// without returns the names that are not in others. Both are sorted.
func without(names, others []string) []string {
	var alone []string
	for _, name := range names {
		if _, ok := slices.BinarySearch(others, name); !ok {
			alone = append(alone, name)
		}
	}
	return alone
}

// andMore names a few further files.
func andMore(names []string) string {
	const most = 3
	switch {
	case len(names) == 0:
		return ""
	case len(names) > most:
		return fmt.Sprintf(" (so are %s and %d more)", strings.Join(names[:most], ", "), len(names)-most)
	}
	return fmt.Sprintf(" (so are %s)", strings.Join(names, ", "))
}

// readVideo reads the two files of a video. Its name is the path of the prediction, which errors shall show.
func readVideo(gt, pred, name string) (v tas.Video, err error) {
	v.Name = filepath.Join(pred, name)
	if v.GT, err = tas.ReadFrames(filepath.Join(gt, name)); err != nil {
		return v, err
	}
	v.Pred, err = tas.ReadFrames(v.Name)
	return v, err
}

// score scores all videos together and, if asked, each for itself, in their order.
func score(videos []tas.Video, background []string, perVideo bool) (r evalReport, err error) {
	r.Videos = len(videos)
	if r.Scores, err = tas.Score(videos, background...); err != nil {
		return r, err
	}
	for i, v := range videos {
		r.Frames += len(v.GT)
		if !perVideo {
			continue
		}
		one := evalVideo{Video: v.Name, Frames: len(v.GT)}
		if one.Scores, err = tas.Score(videos[i:i+1], background...); err != nil {
			return r, err
		}
		r.PerVideo = append(r.PerVideo, one)
	}
	return r, nil
}

// writeTable prints one line a video, if asked, and one for all of them.
func (r evalReport) writeTable(w io.Writer) error {
	all := fmt.Sprintf("all videos (%d)", r.Videos)
	width := utf8.RuneCountInString(all)
	for _, v := range r.PerVideo {
		width = max(width, utf8.RuneCountInString(v.Video))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s %9s %7s %7s %7s %7s %7s\n", width, "", "frames", "MoF", "Edit", "F1@10", "F1@25", "F1@50")
	row := func(name string, frames int, s tas.Scores) {
		fmt.Fprintf(&b, "%-*s %9d %7.2f %7.2f %7.2f %7.2f %7.2f\n", width, name, frames, s.MoF, s.Edit, s.F1At10, s.F1At25, s.F1At50)
	}
	for _, v := range r.PerVideo {
		row(v.Video, v.Frames, v.Scores)
	}
	row(all, r.Frames, r.Scores)
	_, err := io.WriteString(w, b.String())
	return err
}

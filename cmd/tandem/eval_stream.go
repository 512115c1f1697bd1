package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/trainer/dataset"
	"tandem/trainer/replay"
)

// checkStream says which flag is wrong.
func (o evalOptions) checkStream() error {
	switch {
	case o.gt != "" || o.pred != "" || o.online != "":
		return usagef("--stream takes the labels of --data; --gt, --pred and --online are for files of labels and of events")
	case o.data == "":
		return usagef("--data is missing: the data set whose takes are replayed")
	case !(o.replay.Lag >= 0 && o.replay.Lag <= 3600):
		return usagef("--lag is %g, expected seconds, 0 (the bundle's) to 3600", o.replay.Lag)
	case len(o.window) != 0 && len(o.window) != 3:
		return usagef("--window %v: expected FRAMES,HOP,RIGHT", o.window)
	}
	return nil
}

// runStreamEval replays a data set's takes through bundles.
func runStreamEval(ctx context.Context, stdout, stderr io.Writer, o evalOptions) (err error) {
	if err := o.checkStream(); err != nil {
		return err
	}
	o.replay.Window = (&bundleOptions{window: o.window}).windows()
	var students []replay.Student
	for _, path := range o.stream {
		s, err := readStudent(path)
		if err != nil {
			return err
		}
		students = append(students, s)
	}
	if err := ort.Init(o.onnxruntime); err != nil {
		return err
	}
	set, err := dataset.Open(ctx, o.data, o.format, dataset.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	bars := newStageBars(stderr)
	o.replay.Progress = func(done, total int) { bars.report("replay", done, total, "") }
	r, err := replay.Run(ctx, set, students, o.replay)
	bars.wait()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(stdout, r)
	}
	return printReplay(stdout, r)
}

// readStudent reads a bundle, or the directory that train run wrote, with its network over whole sequences.
func readStudent(path string) (s replay.Student, err error) {
	s.Path = path
	dir := filepath.Join(path, studentBundle)
	if _, err := os.Stat(filepath.Join(dir, bundle.ManifestFile)); err != nil {
		s.Bundle, err = bundle.Read(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w; expected a bundle, or what tandem train run --extractor wrote", err)
		}
		return s, err
	}
	if s.Bundle, err = bundle.Read(dir); err != nil || s.Bundle.Segmenter.Window != nil {
		return s, err // a bundle in windows has its whole network itself
	}
	s.Whole, err = os.ReadFile(filepath.Join(path, studentModel))
	return s, err
}

// printReplay writes the table.
func printReplay(w io.Writer, r *replay.Report) error {
	var b strings.Builder
	fold := ""
	if r.Fold != "" {
		fold = fmt.Sprintf(", test takes of fold %s", r.Fold)
	}
	fmt.Fprintf(&b, "%s%s, view %s: %d takes, %.1f minutes at %g Hz; their labels were read for these figures\n", r.Data, fold, r.View, len(r.Takes),
		float64(r.Samples)/r.RateHz/60, r.RateHz)
	for _, s := range r.Students {
		fmt.Fprintf(&b, "  %s: %s, %s", s.Path, s.Release, s.Network)
		if s.Difference != nil {
			fmt.Fprintf(&b, "; the stream's probabilities are those of the whole run to %.1e", *s.Difference)
		}
		fmt.Fprintln(&b)
	}
	if len(r.Students) > 1 {
		fmt.Fprintf(&b, "means over the %d of them, ± standard deviation\n", len(r.Students))
	}
	fmt.Fprintln(&b)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stream\tlag\thold\tprior\tlate s\tMoF\tEdit\tF1@10\tF1@25\tF1@50\t% of same\t% of best\tseg/true\tdelay s\tp95\t±1 s\t±2 s\t±5 s\trevised/min\t")
	for _, x := range r.Rows {
		yes := func(on bool) string {
			switch {
			case x.Stream == replay.Provisional:
				return "–"
			case on:
				return "yes"
			}
			return "no"
		}
		lag, late := yes(x.Lag), fmt.Sprintf("%.1f", x.Late)
		if x.Stream == replay.Offline {
			lag, late = "–", "–"
		}
		f50 := fmt.Sprintf("%.1f", x.F1At50)
		if x.SD != nil {
			f50 += fmt.Sprintf(" ± %.1f", x.SD.F1At50)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%.1f\t%.1f\t%.2f\t", x.Stream, lag, yes(x.Hold), yes(x.Prior), late,
			x.MoF, x.Edit, x.F1At10, x.F1At25, f50, x.OfSame, x.OfBest, x.SegmentsPerTrue)
		if on := x.Online; on != nil {
			fmt.Fprintf(t, "%.2f\t%.2f\t%.1f\t%.1f\t%.1f\t%.2f\t", on.DelayMedian, on.DelayP95, on.Within1, on.Within2, on.Within5, on.RevisionsPerMinute)
		} else {
			fmt.Fprint(t, "\t\t\t\t\t\t")
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprint(&b, `
lag    judged by what came after; without it, at once      late   seconds after which a sample is committed at the latest
% of   F1@50 by the offline row's of the same hold and prior, and by the best offline row's
`)
	_, err := io.WriteString(w, b.String())
	return err
}

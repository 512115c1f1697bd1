package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tandem/runtime/bundle"
	"tandem/trainer/dataset"
	"tandem/trainer/quantize"
)

type trainQuantizeOptions struct {
	data, format, out string
	videos, views     []string
	score             bool
	o                 quantize.Options
	json              bool
}

func newTrainQuantize() *cobra.Command {
	var o trainQuantizeOptions
	cmd := &cobra.Command{
		Use:   "quantize BUNDLE",
		Short: "Make an int8 bundle of a float32 one",
		Long: `Make an int8 bundle of a float32 one: static quantization in QDQ form, without training and without labels.

The segmenter is observed on the features of --data, the extractor on frames of --video; what is not given stays float32. Give the
views that the bundle is for: --view ego for a student. The last fifth of the takes and the last video are not observed: on them the new bundle is compared with the old one. Agreement
and speed stand in the new bundle's report and are printed, and with --score what both score on the test takes of --fold. Whether int8 pays on your machine is what the figures say;
docs/devices.md has those of a CPU, on which it need not.`,
		Example: `  tandem train quantize bundles/line-0002 --data data/cell --view ego --out bundles/line-0002-int8
  tandem train quantize bundles/line-0002 --data data/cell --view ego --score --out bundles/line-0002-int8
  tandem train quantize bundles/line-0002 --data data/cell --video a/ego.mp4 --video b/ego.mp4 --out bundles/line-0002-int8`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%d arguments: expected one, the bundle's directory", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.data, "data", "", "data set whose features the segmenter is observed on")
	f.StringVar(&o.format, "format", dataset.Auto, "layout of the data set")
	f.StringSliceVar(&o.views, "view", nil, "views of --data (default: all)")
	f.BoolVar(&o.score, "score", false, "score both bundles on the test takes of the fold, for which their labels are read")
	f.StringVar(&o.o.Replay.Fold, "fold", "", "with --score: name of the fold (default: the only one)")
	f.StringArrayVar(&o.videos, "video", nil, "video whose frames the extractor is observed on; at least two, the last is held out")
	f.StringVar(&o.out, "out", "", "directory of the new bundle, which must not exist (required)")
	f.StringVar(&o.o.Release, "release", "", "name of the new release (default: the bundle's with -int8)")
	f.Float64Var(&o.o.Share, "share", 1, "share of the runs that an activation's range keeps within on each side, 0.5 to 1")
	f.BoolVar(&o.o.EightBits, "eight-bits", false, "weights of 8 bits instead of 7, for processors with VNNI and for NPUs")
	f.IntVar(&o.o.Threads, "threads", 1, "threads of one model")
	f.BoolVar(&o.json, "json", false, "print the report as JSON")
	return cmd
}

func (o *trainQuantizeOptions) validate() error {
	switch {
	case o.out == "":
		return usagef("--out is missing: name a directory to write to")
	case o.data == "" && len(o.videos) == 0:
		return usagef("neither --data nor --video is given: there is nothing to observe the models on")
	case o.data == "" && (o.score || len(o.views) > 0 || o.o.Replay.Fold != ""):
		return usagef("--view, --score and --fold are of a data set, for which --data is missing")
	case len(o.views) > 1 && o.score:
		return usagef("--score needs one --view, the one that is scored; %d are given", len(o.views))
	case len(o.videos) == 1:
		return usagef("--video is given once: the last one is held out to compare on, so at least two are needed")
	case !(o.o.Share >= 0.5 && o.o.Share <= 1):
		return usagef("--share is %g, expected 0.5 to 1", o.o.Share)
	case o.o.Threads < 1:
		return usagef("--threads is %d, expected at least 1", o.o.Threads)
	case o.o.Release != "" && !token.MatchString(o.o.Release):
		return usagef("--release %q: expected 1 to 32 of [a-z0-9-]", o.o.Release)
	}
	if _, err := os.Lstat(o.out); err == nil {
		return usagef("--out %s is there already; name another directory, or take it away", o.out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (o *trainQuantizeOptions) run(ctx context.Context, stdout io.Writer, dir string) error {
	b, err := bundle.Read(dir)
	if err != nil {
		return err
	}
	if o.o.Release == "" {
		o.o.Release = b.Release[:min(len(b.Release), 32-len("-int8"))] + "-int8"
	}
	if o.data != "" {
		set, err := dataset.Open(ctx, o.data, o.format, dataset.Options{})
		if err != nil {
			return err
		}
		defer set.Close() //nolint:errcheck // only read
		if err := o.readTakes(ctx, set, b); err != nil {
			return err
		}
		if o.score {
			o.o.Labelled = set
			if len(o.views) == 1 {
				o.o.Replay.View = o.views[0]
			}
		}
	}
	if n := len(o.videos); n > 0 {
		o.o.Pictures, o.o.HeldPictures = o.videos[:n-1], o.videos[n-1:]
	}
	r, err := quantize.Run(ctx, b, o.out, o.o)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(stdout, r)
	}
	fmt.Fprintf(stdout, "%s: release %s of %s, %s\n", o.out, o.o.Release, r.From, r.Scheme)
	for _, p := range []struct {
		name string
		quantize.Part
	}{{"extractor", r.Extractor}, {"segmenter", r.Segmenter}} {
		if p.Nodes == 0 {
			fmt.Fprintf(stdout, "  %-10s float32, not observed\n", p.name)
			continue
		}
		fmt.Fprintf(stdout, "  %-10s %d nodes int8, %d bytes instead of %d, %v a run instead of %v (%.2f times as fast)\n", p.name, p.Nodes, p.Bytes,
			p.FromBytes, time.Duration(p.Ns).Round(time.Microsecond), time.Duration(p.FromNs).Round(time.Microsecond), float64(p.FromNs)/float64(p.Ns))
	}
	if a := r.Extractor.Agreement; a.Samples > 0 {
		fmt.Fprintf(stdout, "  features   differ by %.2f %% of their size on %d held-out pictures\n", 100*a.Relative, a.Samples)
	}
	if a := r.Segmenter.Agreement; a.Samples > 0 {
		fmt.Fprintf(stdout, "  labels     the same for %.2f %% of %d held-out samples (first head %.2f %%)\n", a.Same, a.Samples, a.First)
	}
	if x := r.Scores; x != nil {
		fmt.Fprintf(stdout, "  scores     of %d test takes, view %s, whose labels were read: float32 MoF %.2f, Edit %.2f, F1@50 %.2f; int8 MoF %.2f, Edit %.2f, F1@50 %.2f\n",
			len(x.Takes), x.View, x.Float32.MoF, x.Float32.Edit, x.Float32.F1At50, x.Int8.MoF, x.Int8.Edit, x.Int8.F1At50)
	}
	_, err = fmt.Fprintf(stdout, "next: tandem agent --config FILE --check, with bundle.dir %s\n", o.out)
	return err
}

// readTakes reads the features of the data set's views, without labels.
func (o *trainQuantizeOptions) readTakes(ctx context.Context, set *dataset.Dataset, b *bundle.Dir) error {
	takes := set.Takes()
	held := max(1, len(takes)/5)
	for i, t := range takes {
		for _, v := range t.Views() {
			if len(o.views) > 0 && !slices.Contains(o.views, v) {
				continue
			}
			f, err := t.Features(ctx, v)
			if err != nil {
				return err
			}
			if f.View.Dim != b.Extractor.Dim {
				return fmt.Errorf("%s: view %s of take %s has %d features, the bundle %s wants %d; import it with the bundle's extractor",
					o.data, v, t.Name, f.View.Dim, b.Release, b.Extractor.Dim)
			}
			x := quantize.Take{Name: t.Name + "/" + v, Data: f.Data}
			if i < len(takes)-held {
				o.o.Calibrate = append(o.o.Calibrate, x)
			} else {
				o.o.Held = append(o.o.Held, x)
			}
		}
	}
	if len(o.o.Calibrate) == 0 || len(o.o.Held) == 0 {
		return fmt.Errorf("%s: %d sequences of the views %q to observe and %d to compare on, expected at least one of each; the last fifth of the takes is held out",
			o.data, len(o.o.Calibrate), o.views, len(o.o.Held))
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"tandem/runtime/bundle"
	"tandem/trainer/dataset"
	"tandem/trainer/quantize"
)

type trainQuantizeOptions struct {
	data, format, out string
	videos            []string
	o                 quantize.Options
	json              bool
}

func newTrainQuantize() *cobra.Command {
	var o trainQuantizeOptions
	cmd := &cobra.Command{
		Use:   "quantize BUNDLE",
		Short: "Make an int8 bundle of a float32 one",
		Long: `Make an int8 bundle of a float32 one: static quantization in QDQ form, without training and without labels.

The segmenter is observed on the features of --data (all views of its takes), the extractor on frames of --video; what is not given stays
float32. The last fifth of the takes and the last video are not observed: on them the new bundle is compared with the old one. Agreement
and speed stand in the new bundle's report and are printed. Whether int8 pays on your machine is what the figures say;
docs/devices.md has those of a CPU, on which it need not.`,
		Example: `  tandem train quantize bundles/line-0002 --data data/cell --out bundles/line-0002-int8
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
		if err := o.readTakes(ctx, b); err != nil {
			return err
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
	_, err = fmt.Fprintf(stdout, "next: tandem agent --config FILE --check, with bundle.dir %s\n", o.out)
	return err
}

// readTakes reads the features of the data set, all views, without labels.
func (o *trainQuantizeOptions) readTakes(ctx context.Context, b *bundle.Dir) error {
	set, err := dataset.Open(ctx, o.data, o.format, dataset.Options{})
	if err != nil {
		return err
	}
	defer set.Close() //nolint:errcheck // only read
	takes := set.Takes()
	held := max(1, len(takes)/5)
	if len(takes) < 2 {
		return fmt.Errorf("%s has %d take, expected at least 2: one is held out to compare on", o.data, len(takes))
	}
	for i, t := range takes {
		for _, v := range t.Views() {
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
	return nil
}

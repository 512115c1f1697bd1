package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tandem/trainer/realign"
)

// syncRedoOptions are the flags of sync redo.
type syncRedoOptions struct {
	out     string
	offsets []string
	file    string
	set     realign.Options
	json    bool
}

func newSyncRedo() *cobra.Command {
	var o syncRedoOptions
	cmd := &cobra.Command{
		Use:   "redo ARCHIVE --out NEW {--offset CAMERA=MS... | --offsets FILE | --estimate | --undo}",
		Short: "Pair an archive anew with other offsets between the cameras, without loss",
		Long: `Read a trainer's archive of pairs (DEVICE/TAKE.pairs, or a store with them in pairs/) and write it anew, with other offsets.
Every sample stays in it, with its raw stamp. Pairs get a new time difference, bound and grade; the offset's error is added to the
bound. NEW appears when it is complete and was read again; the archive that is read is never changed.

An offset says by how much a camera's stamps are late: a positive one means that it shows things later than the rig, as 'tandem
sync check' prints it. It holds for the stamps as they are, so it takes the place of one that was applied before; --undo gives
back what the rigs paired, byte for byte.

--offsets reads JSON, what 'tandem sync check --json' prints (of which it takes the cameras that are shifted) or a list of
  {"device": "rig-1", "take": "take-1", "camera": "exo1", "offset_ms": 120, "drift_ppm": 0, "error_ms": 8}
where no device is all of them, no take all of the device's. The most exact one counts, and --offset before --offsets.

--estimate tells the offsets of all other cameras from their features, take by take, and applies those that contradict the
clocks. Where it can't be sure, the pairs stay as they are.`,
		Example: `  tandem sync redo store/pairs --out aligned --offset exo1=795±10
  tandem sync redo store/pairs --out aligned --offset rig-1/exo1=120 --offset rig-2/take-7/exo1=-40
  tandem sync redo store/pairs --out aligned --estimate --json
  tandem sync redo aligned --out before --undo`,
		Args: cobra.ArbitraryArgs,
		RunE: o.run,
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "directory to write to, which must be empty or not there (required)")
	f.StringArrayVar(&o.offsets, "offset", nil, "[DEVICE/[TAKE/]]CAMERA=MS or =MS±ERROR: by how much a camera is late; may be repeated")
	f.StringVar(&o.file, "offsets", "", "JSON file of offsets")
	f.BoolVar(&o.set.Estimate, "estimate", false, "estimate the offsets that are not given from the features")
	f.BoolVar(&o.set.Undo, "undo", false, "put back what the rigs paired")
	f.DurationVar(&o.set.MaxDt, "max-dt", 0, "how far apart the samples of a pair may be (default: as the rig had it)")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// validate says what is wrong with the flags, and reads the offsets.
func (o *syncRedoOptions) validate(args []string) error {
	given := len(o.offsets) > 0 || o.file != "" || o.set.Estimate
	switch {
	case len(args) != 1:
		return usagef("%d archives: name one, a trainer's store or the directory of its pairs", len(args))
	case o.out == "":
		return usagef("--out is missing: name a directory to write to")
	case o.set.Undo && given:
		return usagef("--undo puts back what the rigs paired; leave --offset, --offsets and --estimate out")
	case !o.set.Undo && !given:
		return usagef("no offset: give --offset or --offsets, or use --estimate or --undo")
	case o.set.MaxDt < 0 || o.set.MaxDt > time.Second:
		return usagef("--max-dt %v: expected more than 0 and at most 1s", o.set.MaxDt)
	}
	if entries, err := os.ReadDir(o.out); err == nil && len(entries) > 0 {
		return usagef("--out %s is not empty; name another directory", o.out)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := o.read(); err != nil {
		return err
	}
	for _, s := range o.offsets {
		x, err := realign.ParseOffset(s)
		if err != nil {
			return usageError{err}
		}
		same := func(y realign.Offset) bool {
			return x.Device == y.Device && x.Take == y.Take && x.Camera == y.Camera
		}
		o.set.Offsets = append(slices.DeleteFunc(o.set.Offsets, same), x)
	}
	return nil
}

// read reads the file of offsets.
func (o *syncRedoOptions) read() error {
	if o.file == "" {
		return nil
	}
	f, err := os.Open(o.file)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if o.set.Offsets, err = realign.ReadOffsets(f); err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	return nil
}

func (o *syncRedoOptions) run(cmd *cobra.Command, args []string) error {
	if err := o.validate(args); err != nil {
		return err
	}
	bars := newStageBars(cmd.ErrOrStderr())
	o.set.Progress = func(done, total int, note string) { bars.report("takes", done, total, note) }
	report, err := realign.Run(cmd.Context(), args[0], o.out, o.set)
	bars.wait()
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(cmd.OutOrStdout(), struct {
			*realign.Report
			Offsets []realign.Offset `json:"offsets"` // for --offsets of another run
		}{report, report.Offsets()})
	}
	return writeRedo(cmd.OutOrStdout(), report)
}

// writeRedo prints what became of the pairs.
func writeRedo(out io.Writer, r *realign.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "take\tcamera\tpairs are\toffset\tbefore\tafter\tgold\tsilver\tbronze\tnot paired\texo samples\tof them unpaired")
	refused := 0
	for _, t := range r.Takes {
		for _, c := range t.Cameras {
			fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%d\n", t.Device, t.Take, c.Camera, c.Action, redoOffset(c),
				c.Before.Pairs(), c.After.Pairs(), c.After.Gold, c.After.Silver, c.After.Bronze, reasons(c.After.Rejected), c.Samples, c.Unpaired)
			if c.Action == realign.Refused {
				refused++
			}
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, t := range r.Takes {
		if t.Torn {
			fmt.Fprintf(out, "%s/%s: the last record was cut off and is left out\n", t.Device, t.Take)
		}
		for _, c := range t.Cameras {
			if c.Note != "" {
				fmt.Fprintf(out, "%s/%s %s: %s\n", t.Device, t.Take, c.Camera, c.Note)
			}
		}
	}
	if refused > 0 {
		fmt.Fprintf(out, "%d offsets could not be told; these pairs are as they were\n", refused)
	}
	_, err := fmt.Fprintf(out, "\nEvery sample was read again from %s.\nNext: tandem train import --from %s --check\nA trainer takes it in place of the pairs in its store, while it is stopped.\n", r.Out, r.Out)
	return err
}

// redoOffset spells the offset that is applied.
func redoOffset(c realign.CameraReport) string {
	s := fmt.Sprintf("%+.1f ms", c.OffsetMS)
	if c.ErrorMS > 0 {
		s += fmt.Sprintf(" ±%.1f", c.ErrorMS)
	}
	if c.DriftPPM != 0 {
		s += fmt.Sprintf(", %+.1f ppm", c.DriftPPM)
	}
	if c.Against != "" {
		s += " by " + c.Against
	}
	return s
}

// reasons spells counts by reason.
func reasons(counts map[string]uint64) string {
	var list []string
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, fmt.Sprintf("%s %d", why, counts[why]))
	}
	if list == nil {
		return "0"
	}
	return strings.Join(list, ", ")
}

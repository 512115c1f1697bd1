package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"tandem/stream/wire"
	"tandem/trainer"
)

func newTrainer() *cobra.Command {
	var path string
	var checkOnly bool
	cmd := &cobra.Command{
		Use:   "trainer --config FILE",
		Short: "Run the central trainer: teacher, pair archive, distillation, releases",
		Long: `Run the central trainer of a line. It trains the teacher on labelled exo takes and releases it to every device, stores
the rigs' pairs, distils a student whenever enough new takes are complete, checks it on held-out pairs and releases it to
the rigs. It goes on where it was when it is started again.`,
		Example: `  tandem trainer --config trainer.yaml
  tandem trainer --config trainer.yaml --check`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usagef("--config is missing; deploy/trainer.example.yaml is a start")
			}
			cfg, err := trainer.LoadConfig(path)
			if err != nil {
				return usageError{err}
			}
			if checkOnly {
				fmt.Fprintf(cmd.OutOrStdout(), "%s is valid: line %s of cell %s at %s, teacher from %s, students after %d paired takes\n",
					path, cfg.Name, cfg.Cell, cfg.Site, cfg.Labelled.Dir, cfg.Distil.Takes)
				return nil
			}
			bars := newStageBars(cmd.ErrOrStderr())
			log := slog.New(slog.NewTextHandler(bars.lines(cmd.ErrOrStderr()), nil))
			t, err := trainer.New(cfg, trainer.Options{Log: log, Progress: bars.report,
				Released: func(info *wire.ReleaseInfo, d *trainer.Distillation) {
					if d == nil {
						fmt.Fprintf(cmd.OutOrStdout(), "released the teacher as %s to all devices; next: pairs from the rigs\n", info.Release)
						return
					}
					fmt.Fprintf(cmd.OutOrStdout(), "released student %s: agreement with the teacher F1@50 %.1f, before %.1f, on %d held-out pairs\n",
						info.Release, d.Report.After.F1At50, d.Report.Before.F1At50, d.Report.GatePairs)
				},
			})
			if err != nil {
				return err
			}
			err = t.Run(cmd.Context())
			bars.wait()
			return err
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "configuration file (YAML)")
	cmd.Flags().BoolVar(&checkOnly, "check", false, "only check the configuration")
	return cmd
}

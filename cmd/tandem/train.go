package main

import "github.com/spf13/cobra"

func newTrain() *cobra.Command {
	var o trainRunOptions
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Train methods of adaptation on data sets, and compare them",
		Long: `Train methods of adaptation on data sets, and compare them.

With --method it trains one method, as "tandem train run" does, whose help says more.`,
		Example: `  tandem train import --from takes --out data/cell
  tandem train compare --data data/cell --methods teacher,exo-only,ego-oracle,tas,tandem
  tandem train --data data/cell --method tandem --out student`,
		Args: noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().NFlag() == 0 {
				return cmd.Help()
			}
			return o.run(cmd)
		},
	}
	o.flags(cmd)
	cmd.AddCommand(newTrainImport(), newTrainRun(), newTrainCompare(), newTrainExtractor(), newTrainQuantize())
	return cmd
}

package main

import "github.com/spf13/cobra"

func newTrain() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "train",
		Short:   "Train methods of adaptation on data sets, and compare them",
		Example: "  tandem train compare --data DIR --methods teacher,ego-oracle,tas,tandem",
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTrainImport(), newTrainCompare())
	return cmd
}

package main

import "github.com/spf13/cobra"

// newSync groups the commands about time.
func newSync() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sync",
		Short:   "Check how well cameras are synchronized, and mend pairs that are not",
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example: `  tandem sync check ego.mp4 exo1.mp4 exo2.mp4`,
	}
	cmd.AddCommand(newSyncCheck(), newSyncRedo(), newSyncStatus())
	return cmd
}

package main

import "github.com/spf13/cobra"

// commands lists the subcommands in the order of the help text.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newDemo(),
		newAgent(),
		newTrain(),
		newTrainer(),
		newEval(),
		newHub(),
		newSync(),
		newSim(),
		newBench(),
		newDoctor(),
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryCommandShowsAnExample(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.HasParent() || cmd.Hidden {
			return
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		var out, errs bytes.Buffer
		if code := run(t.Context(), append(path, "--help"), &out, &errs); code != exitOK || errs.Len() > 0 {
			t.Errorf("%s --help: exit %d, %s", cmd.CommandPath(), code, errs.String())
		}
		if cmd.Short == "" {
			t.Errorf("%s has no Short text; say in a line what it does", cmd.CommandPath())
		}
		if !cmd.Runnable() {
			return // a group; its subcommands have examples
		}
		if !strings.Contains(out.String(), "Examples:") || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s --help shows no example; set Example of the command to a line that runs %q", cmd.CommandPath(), cmd.CommandPath())
		}
	}
	walk(newRoot())
}

func TestEveryCommandRefusesAnUnknownFlag(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Hidden {
			continue
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{cmd.Name(), "--no-such-flag"}, &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), "--no-such-flag") {
			t.Errorf("%s: exit %d, %q; want exit %d and the flag's name", cmd.Name(), code, errs.String(), exitUsage)
		}
	}
}

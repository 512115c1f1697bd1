package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTrainCompareNamesWrongUse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "--data is missing"},
		{[]string{"--data", "x", "--methods", "magic"}, `no method "magic"`},
		{[]string{"--data", "x", "--seeds", "0"}, "0 seeds"},
		{[]string{"--data", "x", "--pairs", "1.5"}, "share of 1.5"},
		{[]string{"--data", "x", "--workers", "0"}, "--workers is 0"},
		{[]string{"--data", "x", "--first-seed", "0"}, "--first-seed is 0"},
		{[]string{"--data", "x", "--hold", "-2"}, `--hold is "-2"`},
		{[]string{"--data", "x", "--hold", "long"}, `--hold is "long"`},
		{[]string{"--data", "x", "--network", "rnn"}, `no network "rnn"`},
		{[]string{"--data", "x", "--teacher-network", "rnn"}, `no network "rnn"`},
		{[]string{"--data", "x", "--network", "tcn", "--lags", "0,2"}, "not causal"},
		{[]string{"--data", "x", "--plot", "x.pdf"}, "--plot x.pdf: expected a file name that ends in .png or .svg"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"train", "compare"}, c.args...), &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("%q: status %d, %q", c.args, code, stderr.String())
		}
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"data/cell-1": "data/cell-1", "my data": "'my data'", "it's": `'it'\''s'`, "": "''", "größe": "größe"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

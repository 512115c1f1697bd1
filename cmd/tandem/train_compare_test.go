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
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"train", "compare"}, c.args...), &stdout, &stderr)
		if code != exitUsage || !strings.Contains(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("%q: status %d, %q", c.args, code, stderr.String())
		}
	}
}

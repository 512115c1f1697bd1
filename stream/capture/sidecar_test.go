package capture

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestStampsAreRead(t *testing.T) {
	for text, want := range map[string][]int64{
		"frame,raw_ns\n0,5\n":                                   {5},
		"frame,raw_ns\n0,5\n1,5\n2,9223372036854775807":         {5, 5, math.MaxInt64},
		"\ufeffframe,raw_ns\r\n0,-9223372036854775808\r\n1,0\r": {math.MinInt64, 0},
	} {
		got, err := parseStamps(strings.NewReader(text), "a.stamps.csv")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestBadStampsNameFileAndLine(t *testing.T) {
	const head = "frame,raw_ns\n"
	for text, want := range map[string]string{
		"":                               `a.stamps.csv:1: file is empty`,
		"\n":                             `a.stamps.csv:1: header is ""; want "frame,raw_ns"`,
		"frame;raw_ns\n":                 `a.stamps.csv:1: header is "frame;raw_ns"`,
		"0,5\n":                          `a.stamps.csv:1: header is "0,5"`,
		head:                             `a.stamps.csv:1: no rows`,
		head + "0;5":                     `a.stamps.csv:2: row is "0;5"`,
		head + "0,5\n\n1,6":              `a.stamps.csv:3: row is ""`,
		head + "1,5":                     `a.stamps.csv:2: frame is "1"; want 0`,
		head + "0,5\n0,6":                `a.stamps.csv:3: frame is "0"; want 1`,
		head + "0,5\n2,6":                `a.stamps.csv:3: frame is "2"; want 1`,
		head + "0,5\n1,4":                `a.stamps.csv:3: raw_ns goes back from 5 to 4`,
		head + "0,5.0":                   `a.stamps.csv:2: raw_ns is "5.0"; want a whole number`,
		head + "0,":                      `a.stamps.csv:2: raw_ns is ""`,
		head + "0,5,6":                   `a.stamps.csv:2: raw_ns is "5,6"`,
		head + "0,9223372036854775808":   `a.stamps.csv:2: raw_ns is "9223372036854775808"`,
		head + "0," + sixtyKiB(t) + "\n": `a.stamps.csv:2: line is longer than 65536 bytes`,
	} {
		_, err := parseStamps(strings.NewReader(text), "a.stamps.csv")
		if !errors.Is(err, ErrStamps) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v\nwant %s", text, err, want)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%.40q: error of %d bytes", text, len(err.Error()))
		}
	}
}

func sixtyKiB(t *testing.T) string {
	t.Helper()
	return strings.Repeat("1", 70_000)
}

func TestSidecarPath(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "cam.v2"), 0o700); err != nil {
		t.Fatal(err)
	}
	for recording, want := range map[string]string{
		"exo1.mp4":                      "exo1.stamps.csv",
		"take.7/exo1":                   "take.7/exo1.stamps.csv",
		"cam1/%06d.png":                 "cam1.stamps.csv",
		filepath.Join(dir, "cam.v2"):    filepath.Join(dir, "cam.v2.stamps.csv"),
		filepath.Join(dir, "cam.v2/"):   filepath.Join(dir, "cam.v2.stamps.csv"),
		filepath.Join(dir, "cam.v2.rm"): filepath.Join(dir, "cam.v2.stamps.csv"),
	} {
		if got := SidecarPath(recording); got != want {
			t.Errorf("SidecarPath(%q) = %q, want %q", recording, got, want)
		}
	}
}

// What parses is what was written: writing the stamps again gives rows that parse to the same.
func FuzzStamps(f *testing.F) {
	f.Add("frame,raw_ns\n0,5\n1,6\n")
	f.Add("\ufeffframe,raw_ns\r\n0,-1\r\n")
	f.Add("frame,raw_ns\n0,+5\n1,0006")
	f.Add("frame,raw_ns\n1,5")
	f.Fuzz(func(t *testing.T, text string) {
		stamps, err := parseStamps(strings.NewReader(text), "f")
		if err != nil {
			if !errors.Is(err, ErrStamps) || !strings.Contains(err.Error(), "f:") || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if len(stamps) == 0 || !slices.IsSorted(stamps) {
			t.Fatalf("%q gave %v", text, stamps)
		}
		var again strings.Builder
		again.WriteString("frame,raw_ns\n")
		for i, s := range stamps {
			again.WriteString(strconv.Itoa(i) + "," + strconv.FormatInt(s, 10) + "\n")
		}
		if got, err := parseStamps(strings.NewReader(again.String()), "f"); err != nil || !slices.Equal(got, stamps) {
			t.Fatalf("%q: %v, %v; want %v", text, got, err, stamps)
		}
	})
}

package tas

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReadMapping(t *testing.T) {
	want := []string{"background", "take screw", "put down"}
	for name, text := range map[string]string{
		"plain":     "0 background\n1 take screw\n2 put down\n",
		"any order": "2 put down\n0 background\n1 take screw",
		"CRLF":      "0 background\r\n1 take screw\r\n2 put down\r\n",
		"tabs":      "0\tbackground\n1\t take screw\n2  put down \n",
	} {
		got, err := ReadMapping(write(t, "mapping.txt", text))
		if err != nil || !slices.Equal(got.Names(), want) {
			t.Errorf("%s: got %q, %v", name, got.Names(), err)
		}
	}
}

func TestReadMappingRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "mapping.txt is empty; expected one label a line"},
		{"blank in the middle", "0 a\n\n1 b\n", "mapping.txt:2: the line is blank, but text follows at line 3; every line must hold a label"},
		{"no label", "0 a\n1\n", "mapping.txt:2: found \"1\", expected `id label`"},
		{"no number", "0 a\nb one\n", `mapping.txt:2: the id is "b", expected a whole number from 0`},
		{"negative", "-1 a\n", `mapping.txt:1: the id is "-1", expected a whole number from 0`},
		{"id too big for a number", "99999999999999999999 a\n", `mapping.txt:1: the id is "99999999999999999999", expected a whole number from 0`},
		{"id twice", "0 a\n1 b\n0 c\n", `mapping.txt:3: id 0 is taken by "a" at line 1; each id must occur once`},
		{"label twice", "0 a\n1 a\n", `mapping.txt:2: the label "a" stands at line 1 already; each label must occur once`},
		{"hole", "0 a\n3 b\n1 c\n", "mapping.txt:2: id 3 is too high: 3 classes must be numbered 0 to 2, and 2 is missing"},
		{"from one", "1 a\n2 b\n", "mapping.txt:2: id 2 is too high: 2 classes must be numbered 0 to 1, and 0 is missing"},
		{"control character", "0 a\x00\n", `mapping.txt:1: the label "a\x00" holds a control character`},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "mapping.txt", test.text)
			if _, err := ReadMapping(path); err == nil || !strings.HasSuffix(err.Error(), test.want) || !strings.HasPrefix(err.Error(), path) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestWriteMapping(t *testing.T) {
	labels, err := NewLabels("back ground", "a  b", "ö")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "mapping.txt")
	for range 2 { // the second time over the first
		if err := WriteMapping(path, labels); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || string(text) != "0 back ground\n1 a  b\n2 ö\n" {
		t.Errorf("wrote %q, %v", text, err)
	}
	again, err := ReadMapping(path)
	if err != nil || !slices.Equal(again.Names(), labels.Names()) {
		t.Errorf("read %q, %v", again.Names(), err)
	}
	onlyFile(t, dir, "mapping.txt")
}

func TestWriteMappingLeavesNothingBehindWhenItFails(t *testing.T) {
	labels, err := NewLabels("a")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteMapping(path, labels); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("over a folder: %v", err)
	}
	onlyFile(t, dir, "taken")
	if err := WriteMapping(filepath.Join(dir, "none", "mapping.txt"), labels); err == nil {
		t.Error("wrote into a folder that doesn't exist")
	}
	if err := WriteMapping(filepath.Join(dir, "mapping.txt"), Labels{}); err == nil {
		t.Error("wrote a file without classes, which ReadMapping refuses")
	}
	onlyFile(t, dir, "taken")
}

func onlyFile(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the folder holds %v, want only %s", entries, name)
	}
}

func FuzzReadMapping(f *testing.F) {
	for _, seed := range []string{"", "0 a\n", "0 a\n1 b c\r\n", "1 a\n0 b", "0 a\n2 b", "x y", "0\t\n", "00 a", "+0 a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := parseMapping("file.txt", strings.NewReader(text))
		if err != nil {
			if labels.Len() != 0 || !strings.Contains(err.Error(), "file.txt") {
				t.Fatalf("%q: %q with the error %v", text, labels.Names(), err)
			}
			return
		}
		if labels.Len() == 0 {
			t.Fatalf("%q: no classes and no error", text)
		}
		again, err := parseMapping("again", bytes.NewReader(formatMapping(labels)))
		if err != nil || !slices.Equal(again.Names(), labels.Names()) {
			t.Fatalf("%q: %q reads as %q again, %v", text, labels.Names(), again.Names(), err)
		}
	})
}

package tas

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write puts text into a file NAME of a temporary folder.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadFrames(t *testing.T) {
	want := []string{"background", "take screw", "take screw"}
	for name, text := range map[string]string{
		"plain":             "background\ntake screw\ntake screw\n",
		"no newline at end": "background\ntake screw\ntake screw",
		"CRLF":              "background\r\ntake screw\r\ntake screw\r\n",
		"CRLF, none at end": "background\r\ntake screw\r\ntake screw",
		"white space":       "  background\ntake screw \ntake screw\t\n",
		"blank lines last":  "background\ntake screw\ntake screw\n\n \r\n",
		"byte order mark":   "\uFEFFbackground\ntake screw\ntake screw\n",
	} {
		got, err := ReadFrames(write(t, "a.txt", text))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestReadFramesRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "a.txt is empty; expected one label a line"},
		{"only blank lines", "\n\r\n  \n", "a.txt is empty; expected one label a line"},
		{"only a byte order mark", "\uFEFF", "a.txt is empty; expected one label a line"},
		{"blank in the middle", "a\nb\n\n\nc\n", "a.txt:3: the line is blank, but text follows at line 5; every line must hold a label"},
		{"blank first", "\na\n", "a.txt:1: the line is blank, but text follows at line 2; every line must hold a label"},
		{"binary", "a\n\x00\x01\x02\n", `a.txt:2: the label "\x00\x01\x02" holds a control character; expected one label a line`},
		{"not UTF-8", "a\nb\xff\n", `a.txt:2: the label "b\xff" is not UTF-8 text; expected one label a line`},
		{"one endless line", "a\n" + strings.Repeat("x", 5000), "a.txt:2: the line is longer than any label (1024 bytes); is this a text file?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "a.txt", test.text)
			frames, err := ReadFrames(path)
			if frames != nil || err == nil || !strings.HasSuffix(err.Error(), test.want) || !strings.HasPrefix(err.Error(), path) {
				t.Errorf("got  %q, %v\nwant %s", frames, err, test.want)
			}
		})
	}
	missing := filepath.Join(t.TempDir(), "missing.txt")
	if _, err := ReadFrames(missing); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a missing file: %v", err)
	}
	folder := t.TempDir()
	if _, err := ReadFrames(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("a folder: %v", err)
	}
}

func FuzzReadFrames(f *testing.F) {
	for _, seed := range []string{"", "a\n", "a b\r\nc\r\n", "a\n\nb", "\uFEFFa\n\n", "\xff", "a\rb", "\u00a0\nx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		frames, err := parseFrames("file.txt", strings.NewReader(text))
		if err != nil {
			if frames != nil || !strings.Contains(err.Error(), "file.txt") {
				t.Fatalf("%q: %q with the error %v", text, frames, err)
			}
			return
		}
		if len(frames) == 0 {
			t.Fatalf("%q: no frames and no error", text)
		}
		// What was read is what a file of these lines holds.
		again, err := parseFrames("again", strings.NewReader(strings.Join(frames, "\r\n")+"\n"))
		if strings.HasPrefix(frames[0], "\uFEFF") {
			return // a second byte order mark is a character
		}
		if err != nil || !slices.Equal(again, frames) {
			t.Fatalf("%q: %q reads as %q again, %v", text, frames, again, err)
		}
	})
}

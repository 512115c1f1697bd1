package settings

import (
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name string        `yaml:"name"`
	Wait time.Duration `yaml:"wait"`
	Deep struct {
		N    int           `yaml:"n"`
		Time time.Duration `yaml:"time"`
	} `yaml:"deep"`
}

var durations = []Duration{{Field: "wait"}, {Field: "deep.time", Nothing: true}}

func TestDecode(t *testing.T) {
	var s sample
	if err := Decode([]byte("name: a\nwait: 250ms\ndeep:\n  n: 3\n  time: 0s\n"), &s, durations); err != nil {
		t.Fatal(err)
	}
	if s.Name != "a" || s.Wait != 250*time.Millisecond || s.Deep.N != 3 {
		t.Errorf("got %+v", s)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "it is empty, expected name, wait, deep",
		"# nothing\n":                "it is empty",
		"name: a\ntitel: b\n":        `line 2: unknown field "titel"`,
		"deep:\n  n: many\n":         "line 2: found text, expected a whole number",
		"name: a\nwait: 5\n":         "line 2: wait is 5, expected a time with its unit",
		"name: a\nwait: 0s\n":        "line 2: wait is 0s, expected more than 0",
		"name: a\n---\nname: b\n":    "a second document",
		"name: [a\n":                 "line 1",
		"deep:\n  time: soon\n":      "line 2: deep.time is soon",
		"name: a\ndeep: [1, 2, 3]\n": "line 2: sequence was used where mapping is expected",
	} {
		var s sample
		err := Decode([]byte(text), &s, durations)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error has several lines: %v", text, err)
		}
	}
}

func TestLine(t *testing.T) {
	const text = "name: a\n\ndeep:\n  # so many\n  n: 3\n"
	for field, want := range map[string]int{"name": 1, "deep.n": 5, "deep.time": 0, "wait": 0, "": 0, "name.x": 0} {
		if got := Line([]byte(text), field); got != want {
			t.Errorf("%q stands on line %d, want %d", field, got, want)
		}
	}
	if got := Line([]byte(":["), "name"); got != 0 {
		t.Errorf("a text that is no YAML has line %d", got)
	}
}

// FuzzDecode: whatever the text is, it is read or refused in one line.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nwait: 250ms\ndeep:\n  n: 3\n"))
	f.Add([]byte("! : [\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		if err := Decode(data, &s, durations); err != nil && strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("the error has several lines: %q", err)
		}
	})
}

package tas

import (
	"slices"
	"strings"
	"testing"
)

func TestLabels(t *testing.T) {
	names := []string{"background", "take screw", "Schraube lösen"}
	l, err := NewLabels(names...)
	if err != nil {
		t.Fatal(err)
	}
	names[0] = "changed later"
	if l.Len() != 3 || l.Name(0) != "background" || l.Name(2) != "Schraube lösen" {
		t.Errorf("got %d classes %q", l.Len(), l.Names())
	}
	if l.Name(-1) != "" || l.Name(3) != "" {
		t.Errorf("classes out of range have the names %q and %q", l.Name(-1), l.Name(3))
	}
	if i, ok := l.Index("take screw"); i != 1 || !ok {
		t.Errorf("take screw is %d, %v", i, ok)
	}
	if _, ok := l.Index("take  screw"); ok {
		t.Error("a label with two spaces was found")
	}
	l.Names()[0] = "changed through the copy"
	if l.Name(0) != "background" {
		t.Error("Names let the list be changed")
	}
	var none Labels
	if _, ok := none.Index("x"); ok || none.Len() != 0 {
		t.Error("the zero value has classes")
	}
}

func TestNewLabelsRefusesWhatAFileCannotHold(t *testing.T) {
	for want, names := range map[string][]string{
		`class 1: the label "a" is class 0 already`:                      {"a", "a"},
		`class 0: the label is empty`:                                    {""},
		`class 0: the label " a" begins or ends with white space`:        {" a"},
		`class 1: the label "a\nb" holds a control character`:            {"x", "a\nb"},
		`class 0: the label "\xff" is not UTF-8 text`:                    {"\xff"},
		`class 0: the label has 1025 bytes, at most 1024 are allowed`:    {strings.Repeat("x", 1025)},
		`class 2: the label "tab\there" holds a control character`:       {"x", "y", "tab\there"},
		`class 0: the label "trailing " begins or ends with white space`: {"trailing "},
	} {
		if _, err := NewLabels(names...); err == nil || err.Error() != want {
			t.Errorf("NewLabels(%q)\ngot  %v\nwant %s", names, err, want)
		}
	}
}

func TestEncodeDecode(t *testing.T) {
	l, err := NewLabels("a", "b c")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := l.Encode([]string{"b c", "a", "a"})
	if err != nil || !slices.Equal(ids, []int{1, 0, 0}) {
		t.Errorf("Encode: %v, %v", ids, err)
	}
	frames, err := l.Decode(ids)
	if err != nil || !slices.Equal(frames, []string{"b c", "a", "a"}) {
		t.Errorf("Decode: %q, %v", frames, err)
	}
	if _, err := l.Encode([]string{"a", "c"}); err == nil || err.Error() != `frame 1: the label "c" is none of the 2 classes` {
		t.Errorf("Encode of an unknown label: %v", err)
	}
	for _, id := range []int{-1, 2} {
		if _, err := l.Decode([]int{0, 1, id}); err == nil || !strings.HasPrefix(err.Error(), "frame 2: class ") {
			t.Errorf("Decode of %d: %v", id, err)
		}
	}
}

func TestRuns(t *testing.T) {
	for _, test := range []struct {
		frames []int
		want   []Segment
	}{
		{nil, nil},
		{[]int{7}, []Segment{{7, 0, 1}}},
		{[]int{1, 1, 0, 1}, []Segment{{1, 0, 2}, {0, 2, 3}, {1, 3, 4}}},
	} {
		if got := Runs(test.frames); !slices.Equal(got, test.want) {
			t.Errorf("Runs(%v) = %v, want %v", test.frames, got, test.want)
		}
	}
}

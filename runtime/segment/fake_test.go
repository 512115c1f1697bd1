package segment

import (
	"errors"
	"slices"
	"testing"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

const (
	second  = int64(1e9)
	classes = 3
)

var errRun = errors.New("the model throws")

// fake is a causal network that says what it is told: the features are the labels of the first head and, lag frames later, of
// the last one. A negative one makes it throw, one beyond the classes gives scores that are no numbers.
type fake struct {
	in     [2]float32
	said   [][2]int
	lag    int64
	row    [classes]float32
	resets int
}

func (f *fake) input() []float32 { return f.in[:] }

func (f *fake) push() (said, error) {
	switch {
	case f.in[0] < 0:
		return said{}, errRun
	case f.in[0] >= classes:
		return said{}, ErrNotFinite
	}
	t := int64(len(f.said))
	f.said = append(f.said, [2]int{int(f.in[0]), int(f.in[1])})
	return said{span{t, t + 1}, span{max(t-f.lag, 0), max(t-f.lag+1, 0)}}, nil
}

func (f *fake) flush() (said, error) {
	n := int64(len(f.said))
	return said{final: span{max(n-f.lag, 0), n}}, nil
}

func (f *fake) probs(label int) []float32 {
	for i := range f.row {
		f.row[i] = .1
	}
	f.row[label] = .8
	return f.row[:]
}

func (f *fake) warm() error               { _, err := f.push(); return err }
func (f *fake) early(t int64) []float32   { return f.probs(f.said[t][0]) }
func (f *fake) final(t int64) []float32   { return f.probs(f.said[t][1]) }
func (f *fake) scores(head int) []float32 { return f.row[:] }
func (f *fake) reset()                    { f.said, f.resets = nil, f.resets+1 }
func (f *fake) depth() int64              { return f.lag + 1 }
func (f *fake) memory() int               { return 0 }
func (f *fake) model() *ort.Session       { return nil }
func (f *fake) close() error              { return nil }

// newFake is a segmenter of one sample a second, so that two lost ones are bridged at bridge 2.
func newFake(lag int, d bundle.Decoding) *Segmenter {
	b := &bundle.Dir{Manifest: bundle.Manifest{
		RateHz: 1, Labels: []string{"a", "b", "c"},
		Segmenter: bundle.Segmenter{Mode: bundle.Causal, Heads: []bundle.Head{{}}, Decode: d},
	}}
	if lag > 0 {
		b.Segmenter.Heads = append(b.Segmenter.Heads, bundle.Head{Lag: lag})
	}
	j := &fake{lag: int64(lag)}
	s := &Segmenter{
		b: b, judge: j, period: second, bridge: 2, good: make([]float32, 2), samples: make([]sample, j.depth()+1), events: make([]Event, 0, 64),
	}
	s.decoder = newDecoder(&b.Segmenter, classes, s.period)
	return s
}

// say pushes labels as samples from number seq on, and returns the events of a kind.
func say(t *testing.T, s *Segmenter, kind Kind, seq int64, labels ...int) (list []Event) {
	t.Helper()
	for i, l := range labels {
		n := seq + int64(i)
		events, err := s.Push(n, (n+1)*second, []float32{float32(l), float32(l)})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, only(kind, events)...)
	}
	return list
}

func only(kind Kind, events []Event) []Event {
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.Kind != kind })
}

// stretch is what the tests compare of an event.
type stretch struct {
	label       int
	first, last int64
	why         Reason
}

func stretches(list []Event) (out []stretch) {
	for _, e := range list {
		out = append(out, stretch{e.Label, e.FirstSeq, e.LastSeq, e.Reason})
	}
	return out
}

func expect(t *testing.T, list []Event, want ...stretch) {
	t.Helper()
	if got := stretches(list); !slices.Equal(got, want) {
		t.Errorf("segments %+v, want %+v", got, want)
	}
}

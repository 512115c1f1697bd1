package tas

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// OnlineVideo is a take's truth and the events that a device published of it.
type OnlineVideo struct {
	Name   string
	GT     []string // the true label of each frame
	Rate   float64  // frames a second
	Origin int64    // site time at which frame 0 begins
	Events []Event  // of this take and of one device, in any order
}

// StreamScores are the figures of one of the two streams.
type StreamScores struct {
	Scores
	SegmentsPerTrue float64 `json:"segments_per_true"` // runs without background, by the truth's
}

// OnlineScores are the figures of streams of segments. docs/metrics.md has the definitions.
type OnlineScores struct {
	Committed   StreamScores  `json:"committed"`
	Provisional *StreamScores `json:"provisional,omitempty"` // nil without such events
	Starts      StartScores   `json:"starts"`
	// RevisionsPerMinute is how often a minute the provisional stream said what the committed one took back: stretches of frames
	// of which they say different things.
	RevisionsPerMinute float64 `json:"revisions_per_minute"`
	// Lag is how long after its own start a committed segment was confirmed, in seconds.
	Lag Spread `json:"confirmed_after_s"`
}

// StartScores tell how well the starts of actions are found. Shares are per cent of all true segments.
type StartScores struct {
	True    int     `json:"true"`    // segments without background
	Found   int     `json:"found"`   // of them, by a committed segment of their label with an intersection over union of at least 10 %
	Delay   Spread  `json:"delay_s"` // of those found: from the true start until the segment was confirmed, in seconds
	Within1 float64 `json:"within_1s"`
	Within2 float64 `json:"within_2s"`
	Within5 float64 `json:"within_5s"`
}

// Spread sums up a list of durations. All are 0 for an empty one.
type Spread struct {
	Median float64 `json:"median"`
	P95    float64 `json:"p95"` // the smallest that at least 95 % don't exceed
	Max    float64 `json:"max"`
}

// ScoreOnline scores streams of segments. A frame's label is that of the segment that holds its middle; what no segment holds is
// wrong in MoF and no run in Edit and F1. Background is as in Score.
func ScoreOnline(videos []OnlineVideo, background ...string) (OnlineScores, error) {
	var s OnlineScores
	if len(videos) == 0 {
		return s, errors.New("there are no takes to score")
	}
	var committed, provisional []Video
	var minutes float64
	var revisions int
	o := online{background: background}
	for _, v := range videos {
		c, p, err := v.streams()
		if err != nil {
			return s, fmt.Errorf("%s: %w", v.Name, err)
		}
		committed = append(committed, c)
		provisional = append(provisional, p)
		minutes += float64(len(v.GT)) / v.Rate / 60
		revisions += differences(c.Pred, p.Pred)
		o.starts(&v)
	}
	hidden := append(slices.Clone(background), uncovered)
	var err error
	if s.Committed, err = scoreStream(committed, hidden); err != nil {
		return s, err
	}
	if slices.ContainsFunc(videos, func(v OnlineVideo) bool { return v.has(EventProvisional) }) {
		p, err := scoreStream(provisional, hidden)
		if err != nil {
			return s, err
		}
		s.Provisional = &p
		s.RevisionsPerMinute = float64(revisions) / minutes
	}
	s.Starts, s.Lag = o.result()
	return s, nil
}

// uncovered is the label of frames that no segment holds. It can be none of a file's, which are not empty.
const uncovered = ""

func (v *OnlineVideo) has(kind string) bool {
	return slices.ContainsFunc(v.Events, func(e Event) bool { return e.Kind == kind })
}

// streams are the labels of frames by each stream.
func (v *OnlineVideo) streams() (committed, provisional Video, err error) {
	if !(v.Rate > 0) || math.IsInf(v.Rate, 0) {
		return committed, provisional, fmt.Errorf("%g frames a second, expected more than 0", v.Rate)
	}
	at := make([]int64, len(v.GT))
	for i := range at {
		at[i] = v.Origin + int64(math.Round((float64(i)+.5)/v.Rate*1e9))
	}
	sample := func(list []Event, kind string) (Video, error) {
		spans := make([]Span, len(list))
		for i, e := range list {
			spans[i] = Span{Label: e.Label, Start: e.Start, End: e.End}
		}
		pred, err := SampleSpans(spans, at, uncovered)
		if err != nil {
			err = fmt.Errorf("%s stream: %w", kind, err)
		}
		return Video{Name: v.Name, GT: v.GT, Pred: pred}, err
	}
	if committed, err = sample(v.of(EventCommitted), EventCommitted); err != nil {
		return committed, provisional, err
	}
	provisional, err = sample(v.of(EventProvisional), EventProvisional)
	return committed, provisional, err
}

// of returns the events of a kind in time order: of several with the same first sample the one of the highest revision.
func (v *OnlineVideo) of(kind string) []Event {
	newest := map[uint64]Event{}
	var list []Event
	for _, e := range v.Events {
		if e.Kind != kind {
			continue
		}
		if kind == EventCommitted { // sent once: a second one is an overlap, not a revision
			list = append(list, e)
			continue
		}
		if old, ok := newest[e.FirstSeq]; !ok || e.Revision >= old.Revision {
			newest[e.FirstSeq] = e
		}
	}
	for _, e := range newest {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End), cmp.Compare(a.FirstSeq, b.FirstSeq))
	})
	return list
}

// differences counts the stretches of frames of which two streams say different things. Frames that one of them doesn't hold
// are no difference.
func differences(a, b []string) int {
	n, inside := 0, false
	for i := range a {
		differ := a[i] != b[i] && a[i] != uncovered && b[i] != uncovered
		if differ && !inside {
			n++
		}
		inside = differ
	}
	return n
}

func scoreStream(videos []Video, hidden []string) (s StreamScores, err error) {
	if s.Scores, err = Score(videos, hidden...); err != nil {
		return s, err
	}
	s.SegmentsPerTrue = SegmentsPerTrue(videos, hidden...)
	return s, nil
}

// SegmentsPerTrue is the number of predicted runs by that of the true ones, without those of the background: 1 where each action is
// one run, 3 where it falls into three. It is 0 where there is no true run.
func SegmentsPerTrue(videos []Video, background ...string) float64 {
	count := func(frames []string) (n int) {
		for i, l := range frames {
			if (i == 0 || l != frames[i-1]) && !slices.Contains(background, l) {
				n++
			}
		}
		return n
	}
	var claims, truths int
	for _, v := range videos {
		claims += count(v.Pred)
		truths += count(v.GT)
	}
	if truths == 0 {
		return 0
	}
	return float64(claims) / float64(truths)
}

// online gathers what is found of starts.
type online struct {
	background  []string
	truths      int
	delays, lag []float64
	errors      []float64 // of found starts, without sign
}

// starts matches a video's committed segments with the true ones, as F1@10 does, but in time instead of frames.
func (o *online) starts(v *OnlineVideo) {
	var truths []Span
	for _, s := range FrameSpans(v.GT, v.Origin, v.Rate) {
		if !slices.Contains(o.background, s.Label) {
			truths = append(truths, s)
		}
	}
	o.truths += len(truths)
	taken := make([]bool, len(truths))
	for _, c := range v.claims() {
		o.lag = append(o.lag, float64(c.Decided-c.Start)/1e9)
		best, most := -1, 0.0
		for i, t := range truths {
			in := min(c.End, t.End) - max(c.Start, t.Start)
			if t.Label != c.Label || in <= 0 {
				continue
			}
			if iou := float64(in) / (float64(c.End-c.Start) + float64(t.End-t.Start) - float64(in)); iou > most {
				best, most = i, iou
			}
		}
		if best < 0 || most < .1 || taken[best] {
			continue
		}
		taken[best] = true
		o.delays = append(o.delays, float64(c.Decided-truths[best].Start)/1e9)
		o.errors = append(o.errors, math.Abs(float64(c.Start-truths[best].Start))/1e9)
	}
}

// claims are the committed segments, with neighbours of one label joined, and when their starts were confirmed. One that was
// not confirmed before it ended was confirmed then.
func (v *OnlineVideo) claims() []Event {
	confirmed := map[uint64]int64{}
	for _, e := range v.of(EventConfirmed) {
		confirmed[e.FirstSeq] = e.Decided
	}
	var list []Event
	for _, e := range v.of(EventCommitted) {
		if at, ok := confirmed[e.FirstSeq]; ok {
			e.Decided = at
		}
		if n := len(list); n > 0 && list[n-1].Label == e.Label && list[n-1].End == e.Start {
			list[n-1].End = e.End
			continue
		}
		list = append(list, e)
	}
	return list
}

func (o *online) result() (s StartScores, lag Spread) {
	s.True, s.Found, s.Delay = o.truths, len(o.delays), spread(o.delays)
	within := func(most float64) float64 {
		if o.truths == 0 {
			return 100
		}
		n := 0
		for _, e := range o.errors {
			if e <= most {
				n++
			}
		}
		return 100 * float64(n) / float64(o.truths)
	}
	s.Within1, s.Within2, s.Within5 = within(1), within(2), within(5)
	return s, spread(o.lag)
}

func spread(list []float64) Spread {
	n := len(list)
	if n == 0 {
		return Spread{}
	}
	slices.Sort(list)
	return Spread{
		Median: (list[(n-1)/2] + list[n/2]) / 2,
		P95:    list[int(math.Ceil(.95*float64(n)))-1],
		Max:    list[n-1],
	}
}

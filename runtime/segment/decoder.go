package segment

import "tandem/runtime/bundle"

// sample is what has to be remembered of a frame until it is decided.
type sample struct {
	seq, at int64
	bridged bool // it was lost, and the last features stand in for it
}

// decoder turns the committed opinion of one sample after another into confirmed and committed events.
type decoder struct {
	prior *prior // nil without one
	hold  hold
	late  []verdict // ring of the samples that the prior has not decided; label and prob are not set
	count int64     // samples since the start
}

func newDecoder(s *bundle.Segmenter, classes int, period int64) *decoder {
	d := &decoder{prior: newPrior(s.Decode.Prior, classes), hold: hold{minFrames: s.Holds(classes), period: period}}
	if d.prior != nil {
		d.late = make([]verdict, d.prior.lag+1)
	}
	return d
}

// push takes the class probabilities of the next sample and appends what they brought about.
func (d *decoder) push(probs []float32, v verdict, events []Event) []Event {
	if d.prior == nil {
		v.label, v.prob = argmax(probs)
		return d.hold.push(v, events)
	}
	d.prior.push(probs)
	d.late[d.count%int64(len(d.late))] = v
	d.count++
	if d.count <= int64(d.prior.lag) {
		return events
	}
	return d.decide(d.prior.lag, false, events)
}

// decide decides the sample that is age samples old.
func (d *decoder) decide(age int, rushed bool, events []Event) []Event {
	v := d.late[(d.count-1-int64(age))%int64(len(d.late))]
	v.rushed = v.rushed || rushed
	v.label, v.prob = d.prior.label(age)
	return d.hold.push(v, events)
}

// finish decides what is open and ends the last segment at end.
func (d *decoder) finish(end int64, why Reason, events []Event) []Event {
	if d.prior != nil {
		for age := int(min(d.count, int64(d.prior.lag))) - 1; age >= 0; age-- {
			events = d.decide(age, true, events)
		}
		d.prior.reset()
		d.count = 0
	}
	return d.hold.finish(end, why, events)
}

// Decode applies a bundle's decoder to the class probabilities [T, classes] of a whole take by the committed head, as the
// committed stream would: what an offline evaluation has to score to predict what a device will say.
func Decode(probs []float32, classes int, s *bundle.Segmenter) []int {
	d := newDecoder(s, classes, 1)
	n := len(probs) / classes
	frames := painter{out: make([]int, 0, n)}
	for t := range n {
		// The frame's number stands in for its time, so that events come out in frames.
		frames.paint(d.push(probs[t*classes:(t+1)*classes], verdict{sample: sample{seq: int64(t), at: int64(t)}}, nil))
	}
	frames.paint(d.finish(int64(n), EndOfTake, nil))
	return frames.out
}

// Hold applies a label hold, the same for all classes, to per-frame labels of a whole take. See Decode.
func Hold(labels []int, minFrames int) []int {
	classes := 0
	for _, l := range labels {
		classes = max(classes, l+1)
	}
	holds := make([]int, classes)
	for i := range holds {
		holds[i] = minFrames
	}
	return HoldEach(labels, holds)
}

// HoldEach is Hold with a minimum for each class.
func HoldEach(labels, minFrames []int) []int {
	h := hold{minFrames: minFrames, period: 1}
	frames := painter{out: make([]int, 0, len(labels))}
	for t, l := range labels {
		frames.paint(h.push(verdict{sample: sample{seq: int64(t), at: int64(t)}, label: l, prob: 1}, nil))
	}
	frames.paint(h.finish(int64(len(labels)), EndOfTake, nil))
	return frames.out
}

// painter makes frames of committed events whose times are frame numbers.
type painter struct{ out []int }

func (p *painter) paint(events []Event) {
	for _, e := range events {
		for e.Kind == Committed && int64(len(p.out)) < e.End {
			p.out = append(p.out, e.Label)
		}
	}
}

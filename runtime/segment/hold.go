package segment

// hold turns per-frame labels into committed segments by label hold: a new label is believed once it has lasted
// minFrames frames, and then dated back to where it began; what lasts less is taken as the label around it. In the
// published study of causal networks (OnlineTAS, NeurIPS 2024) such holding is what makes their segments usable.
type hold struct {
	minFrames int
	current   run // the believed segment
	pending   run // the candidate to follow it; frames is 0 without one
}

// run is a stretch of frames with one label.
type run struct {
	label             int
	start             int64 // site time of the first frame
	firstSeq, lastSeq int64
	frames            int
	confidence        float64 // sum over frames
}

func (r *run) add(seq int64, p float32) {
	r.frames++
	r.lastSeq = seq
	r.confidence += float64(p)
}

func newRun(label int, seq, at int64, p float32) run {
	return run{label: label, start: at, firstSeq: seq, lastSeq: seq, frames: 1, confidence: float64(p)}
}

// event closes the run at end.
func (r *run) event(end int64, why Reason) Event {
	return Event{
		Kind: Committed, Label: r.label, Start: r.start, End: end, FirstSeq: r.firstSeq, LastSeq: r.lastSeq,
		Confidence: float32(r.confidence / float64(r.frames)), Reason: why,
	}
}

// push takes the label of the next frame. It reports the segment that this frame ended, if any.
func (h *hold) push(label int, p float32, seq, at int64) (Event, bool) {
	switch {
	case h.current.frames == 0:
		h.current = newRun(label, seq, at, p)
		return Event{}, false
	case label == h.current.label:
		h.absorb()
		h.current.add(seq, p)
		return Event{}, false
	case h.pending.frames > 0 && label == h.pending.label:
		h.pending.add(seq, p)
	default:
		h.absorb()
		h.pending = newRun(label, seq, at, p)
	}
	if h.pending.frames < h.minFrames {
		return Event{}, false
	}
	ended := h.current.event(h.pending.start, NextLabel)
	h.current, h.pending = h.pending, run{}
	return ended, true
}

// absorb gives the frames of a candidate that did not last to the segment around it. They count as frames in which the
// segment's label had no support, so its confidence sinks.
func (h *hold) absorb() {
	if h.pending.frames == 0 {
		return
	}
	h.current.frames += h.pending.frames
	h.current.lastSeq = h.pending.lastSeq
	h.pending = run{}
}

// finish ends the current segment at end, the candidate included.
func (h *hold) finish(end int64, why Reason) (Event, bool) {
	h.absorb()
	if h.current.frames == 0 {
		return Event{}, false
	}
	e := h.current.event(end, why)
	h.current = run{}
	return e, true
}

// Hold applies the label hold of a bundle's decoder to per-frame labels of a whole take, as the committed stream would:
// what an offline evaluation has to score to predict what a device will say.
func Hold(labels []int, minFrames int) []int {
	h := hold{minFrames: minFrames}
	out := make([]int, 0, len(labels))
	put := func(e Event) {
		for int64(len(out)) < e.End {
			out = append(out, e.Label)
		}
	}
	for t, l := range labels {
		// The frame's number stands in for its time, so that events come out in frames.
		if e, ok := h.push(l, 1, int64(t), int64(t)); ok {
			put(e)
		}
	}
	if e, ok := h.finish(int64(len(labels)), EndOfTake); ok {
		put(e)
	}
	return out
}

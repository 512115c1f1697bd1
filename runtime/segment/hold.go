package segment

// hold turns per-frame labels into committed segments by label hold: a new label is believed once it has lasted the minimum
// of its class, and then dated back to where it began; what lasts less is taken as the label around it. The first label of
// a take, or after a gap, is believed at once. In the published study of causal networks (OnlineTAS, NeurIPS 2024) such
// holding is what makes their segments usable.
type hold struct {
	minFrames []int // by class, at least 1
	period    int64 // ns between samples
	current   run   // the believed segment
	pending   run   // the candidate to follow it; frames is 0 without one
}

// run is a stretch of frames with one label.
type run struct {
	label             int
	start, last       int64 // site times of the first and the last frame
	firstSeq, lastSeq int64
	frames            int64
	bridged, rushed   int64   // of those
	confidence        float64 // sum over frames
}

// verdict is a label of a sample.
type verdict struct {
	sample
	label  int
	prob   float32
	rushed bool
}

func (r *run) add(v verdict) {
	if r.frames == 0 {
		*r = run{label: v.label, start: v.at, firstSeq: v.seq}
	}
	r.frames++
	r.last, r.lastSeq = v.at, v.seq
	r.confidence += float64(v.prob)
	if v.bridged {
		r.bridged++
	}
	if v.rushed {
		r.rushed++
	}
}

// event is the run as a segment that ends at end.
func (r *run) event(kind Kind, end int64, why Reason) Event {
	return Event{
		Kind: kind, Label: r.label, Start: r.start, End: end, FirstSeq: r.firstSeq, LastSeq: r.lastSeq, Open: kind == Confirmed,
		Confidence: float32(r.confidence / float64(r.frames)), Reason: why, Bridged: r.bridged, Rushed: r.rushed,
	}
}

// push takes the label of the next frame and appends to events the segment that this frame ended and the one it confirmed.
func (h *hold) push(v verdict, events []Event) []Event {
	switch {
	case h.current.frames == 0:
		h.current.add(v)
		return append(events, h.confirmed())
	case v.label == h.current.label:
		h.absorb()
		h.current.add(v)
		return events
	case h.pending.frames > 0 && v.label != h.pending.label:
		h.absorb()
	}
	h.pending.add(v)
	if h.pending.frames < int64(h.minFrames[v.label]) {
		return events
	}
	events = append(events, h.current.event(Committed, h.pending.start, NextLabel))
	h.current, h.pending = h.pending, run{}
	return append(events, h.confirmed())
}

// confirmed is the event of a segment that has just been believed.
func (h *hold) confirmed() Event {
	return h.current.event(Confirmed, h.current.last+h.period, NextLabel)
}

// absorb gives the frames of a candidate that did not last to the segment around it. They count as frames in which the
// segment's label had no support, so its confidence sinks.
func (h *hold) absorb() {
	if h.pending.frames == 0 {
		return
	}
	h.current.frames += h.pending.frames
	h.current.bridged += h.pending.bridged
	h.current.rushed += h.pending.rushed
	h.current.last, h.current.lastSeq = h.pending.last, h.pending.lastSeq
	h.pending = run{}
}

// finish ends the current segment at end, the candidate included.
func (h *hold) finish(end int64, why Reason, events []Event) []Event {
	h.absorb()
	if h.current.frames == 0 {
		return events
	}
	events = append(events, h.current.event(Committed, end, why))
	h.current = run{}
	return events
}

package wire

import "tandem/tas"

// eventKinds are the kinds of segments by the names that files of events use.
var eventKinds = map[SegmentKind]string{
	SegmentKind_SEGMENT_KIND_PROVISIONAL: tas.EventProvisional,
	SegmentKind_SEGMENT_KIND_COMMITTED:   tas.EventCommitted,
	SegmentKind_SEGMENT_KIND_CONFIRMED:   tas.EventConfirmed,
}

// eventReasons are the reasons for which segments end.
var eventReasons = map[EndReason]string{
	EndReason_END_REASON_NEXT_LABEL:  "next_label",
	EndReason_END_REASON_GAP:         "gap",
	EndReason_END_REASON_SWAP:        "swap",
	EndReason_END_REASON_END_OF_TAKE: "end_of_take",
}

// FileEvent is a valid event as files of events have it. Of a device that doesn't say when it decided, the end of the segment stands for
// that.
func (x *SegmentEvent) FileEvent() tas.Event {
	e := tas.Event{
		Device: x.Device, Take: x.Take, Release: x.Release, Kind: eventKinds[x.Kind], Label: x.Label,
		Start: x.StartNs, End: x.EndNs, Decided: x.DecidedNs, FirstSeq: x.FirstSeq, LastSeq: x.LastSeq, Revision: x.Revision,
		Open: x.EndReason == EndReason_END_REASON_UNSPECIFIED, Reason: eventReasons[x.EndReason],
		Confidence: x.Confidence, Bound: x.BoundNs, Bridged: x.Bridged, Rushed: x.Rushed,
	}
	if e.Decided == 0 {
		e.Decided = e.End
	}
	return e
}

package wire

import (
	"testing"

	"tandem/tas"
)

func TestFileEvent(t *testing.T) {
	x := &SegmentEvent{
		Device: "rig-1", Take: "t", Release: "r", Label: "screw", StartNs: 5, EndNs: 9, Confidence: .5, Revision: 2,
		Kind: SegmentKind_SEGMENT_KIND_COMMITTED, EndReason: EndReason_END_REASON_SWAP, BoundNs: 3, FirstSeq: 1, LastSeq: 2, DecidedNs: 11, Bridged: 1, Rushed: 1,
	}
	want := tas.Event{
		Device: "rig-1", Take: "t", Release: "r", Label: "screw", Start: 5, End: 9, Confidence: .5, Revision: 2,
		Kind: tas.EventCommitted, Reason: "swap", Bound: 3, FirstSeq: 1, LastSeq: 2, Decided: 11, Bridged: 1, Rushed: 1,
	}
	if got := x.FileEvent(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	x.Kind, x.EndReason, x.DecidedNs = SegmentKind_SEGMENT_KIND_PROVISIONAL, EndReason_END_REASON_UNSPECIFIED, 0
	want.Kind, want.Reason, want.Open, want.Decided = tas.EventProvisional, "", true, 9
	if got := x.FileEvent(); got != want {
		t.Errorf("open: %+v, want %+v", got, want)
	}
}

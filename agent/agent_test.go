package agent

import (
	"testing"

	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

func TestSmoke(t *testing.T) {
	s := newSite(t)
	b := modeltest.New(t, modeltest.Options{Release: "r1"})
	a := s.release(b)
	s.assign(bus.DefaultDevice, a)
	exo := s.run(s.config("exo1"))
	ego := s.run(s.config("rig-1", "exo1"))
	exo.wait(exo.adopted, "r1")
	ego.wait(ego.adopted, "r1")
	x := clip{width: 64, height: 48, frames: 30, stamps: even(0)}.write(t, "exo.mp4")
	g := clip{width: 65, height: 49, frames: 30, stamps: even(3e6)}.write(t, "ego.avi")
	exo.play(fast("t1", x))
	ego.play(fast("t1", g))
	if err := exo.finish(); err != nil {
		t.Fatal(err)
	}
	if err := ego.finish(); err != nil {
		t.Fatal(err)
	}
	t.Log(exo.agent.Counters(), ego.agent.Counters())
	for _, b := range stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch) {
		t.Log(b.Ego.FirstSeq, b.Ego.Len(), len(b.Exo), b.Last, b.Rejected)
	}
	for _, b := range stored(s, bus.Segments, "rig-1", wire.DecodeSegmentEvent) {
		t.Log(b.Kind, b.FirstSeq, b.LastSeq, b.Label, b.EndReason)
	}
}

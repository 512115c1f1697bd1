package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/segment"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// recorder is an output that keeps everything.
type recorder struct {
	t       *testing.T
	takes   []string
	batches []*wire.SampleBatch
	events  []recorded
	fail    error
}

type recorded struct {
	segment.Event
	release string
}

func (r *recorder) begin(src *Source, _ bool) { r.takes = append(r.takes, src.Take) }

func (r *recorder) batch(_ context.Context, _ *Source, b *wire.SampleBatch) error {
	if _, err := wire.Encode(b); err != nil {
		r.t.Error(err)
	}
	r.batches = append(r.batches, b)
	return r.fail
}

// committed returns the committed segments.
func (r *recorder) committed() []recorded {
	var list []recorded
	for _, e := range r.events {
		if e.Kind == segment.Committed {
			list = append(list, e)
		}
	}
	return list
}

// rig is a pipeline that is fed by hand.
type rig struct {
	hands
	t   *testing.T
	out *eventRecorder
	src *Source
	rng *rand.Rand
	pic gocv.Mat
	at  int64
}

// eventRecorder adds the events method, whose name the recorder's field has.
type eventRecorder struct{ recorder }

func (r *eventRecorder) events(_ context.Context, _ *Source, b *bundle.Dir, list []segment.Event, _ []int64) error {
	for _, e := range list {
		r.recorder.events = append(r.recorder.events, recorded{e, b.Release})
	}
	return r.fail
}

func newRig(t *testing.T, role string, o modeltest.Options) *rig {
	t.Helper()
	r := &rig{t: t, out: &eventRecorder{recorder{t: t}}, rng: rand.New(rand.NewPCG(1, 2)), pic: gocv.NewMatWithSize(48, 64, gocv.MatTypeCV8UC3)}
	r.pipeline = newPipeline(&Config{Device: "cam", Role: role, Camera: CameraConfig{ClockBound: time.Millisecond}}, newCounters(), quiet, nil)
	r.pipeline.out = r.out
	r.offerNow(openModel(t, o))
	r.adopt()
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
		if err := r.pic.Close(); err != nil {
			t.Error(err)
		}
	})
	r.take("t1")
	return r
}

func openModel(t *testing.T, o modeltest.Options) *model.Model {
	t.Helper()
	m, err := open(modeltest.New(t, o), &model.Selector{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// take begins a take.
func (r *rig) take(name string) {
	r.src = &Source{Take: name}
	r.begin(r.src, true)
}

// picture fills the rig's picture with the n-th one, which looks the same in every run.
func (r *rig) picture(n int64) {
	r.t.Helper()
	px, err := r.pic.DataPtrUint8()
	if err != nil {
		r.t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(uint64(n/3), 3))
	var level [16]byte
	for i := range level {
		level[i] = byte(rng.IntN(256))
	}
	for i := range px {
		px[i] = level[i/3%64/16+i/3/64/12*4]
	}
}

// shot gives the pipeline the n-th picture at a time in ns.
func (r *rig) shot(n, at int64) {
	r.t.Helper()
	r.picture(n)
	f := &frame.Frame{Mat: r.pic, Width: 64, Height: 48, Index: n, Raw: at, RawKind: frame.Sidecar, Time: at}
	if err := r.place(f); err != nil {
		r.t.Fatal(err)
	}
	r.at = at
}

// place gives the pipeline a frame.
func (r *rig) place(f *frame.Frame) error {
	at, _ := r.time.place(f)
	return r.frame(r.t.Context(), r.src, f, at)
}

// shots gives pictures from to up to but not including to, with jitter, one for each tick at 10 Hz.
func (r *rig) shots(from, to int64) {
	r.t.Helper()
	for n := from; n < to; n++ {
		r.shot(n, clipStart+n*1e8+r.rng.Int64N(2e7))
	}
}

// offerNow offers a model as the updater does, and returns what comes of it.
func (r *rig) offerNow(m *model.Model) <-chan error {
	r.t.Helper()
	done := make(chan error, 1)
	for len(r.offered) > 0 {
		<-r.offered
	}
	go func() {
		err := r.swap(r.t.Context(), m, "")
		if err != nil {
			if e := m.Close(); e != nil {
				r.t.Error(e)
			}
		}
		done <- err
	}()
	<-r.offered
	return done
}

// samples returns the sequence numbers of all batches so far, the open one not included, and fails where one repeats.
func (r *rig) samples() []int64 {
	var list []int64
	for _, b := range r.out.batches {
		for i := range b.Len() {
			seq := int64(b.FirstSeq) + int64(i)
			if n := len(list); n > 0 && list[n-1] >= seq {
				r.t.Errorf("sample %d after sample %d", seq, list[n-1])
			}
			list = append(list, seq)
		}
	}
	return list
}

// covered fails unless the committed segments cover the samples of the take up to last without gap or overlap.
func (r *rig) covered(last int64) {
	r.t.Helper()
	list := r.out.committed()
	for i, e := range list {
		if e.End <= e.Start || e.LastSeq < e.FirstSeq {
			r.t.Errorf("segment %+v", e)
		}
		if i > 0 && (e.Start != list[i-1].End || e.FirstSeq != list[i-1].LastSeq+1) {
			r.t.Errorf("segment %d begins at sample %d, %d ns after the end of the one before, at sample %d", i, e.FirstSeq, e.Start-list[i-1].End, list[i-1].LastSeq)
		}
	}
	if len(list) == 0 || list[0].FirstSeq != 0 || list[len(list)-1].LastSeq != last {
		r.t.Errorf("committed segments %+v, want samples 0 to %d", list, last)
	}
}

var (
	older = modeltest.Options{Release: "r1", Seed: 23, MinFrames: 2}
	newer = modeltest.Options{Release: "r2", Seed: 21, MinFrames: 2}
)

func TestEveryFrameIsAccountedFor(t *testing.T) {
	r := newRig(t, RoleExo, older)
	r.shots(0, 10)
	whole := r.pic
	r.pic = gocv.NewMat() // a frame without a picture
	for n := int64(10); n < 12; n++ {
		at := clipStart + n*1e8
		must(t, r.place(&frame.Frame{Mat: r.pic, Time: at, Raw: at, RawKind: frame.Sidecar}))
	}
	must(t, r.pic.Close())
	r.pic = whole
	r.shots(12, 15)
	r.shot(99, r.at)     // the same time again
	r.shot(99, r.at-5e8) // back
	r.shots(40, 41)      // 25 ticks without a frame
	must(t, r.end(t.Context(), r.src))
	n := r.count.snapshot()
	if n["frames"] != 18 || n["samples"] != 14 || n["frames_surplus"] != 1 || n["dropped_time_went_back"] != 1 ||
		n["dropped_extractor"] != 2 || n["dropped_no_frame_for_tick"] != 25 {
		t.Errorf("counters %v", n)
	}
	if n["frames"] != n["samples"]+n["frames_surplus"]+n["dropped_time_went_back"]+n["dropped_extractor"]+n["dropped_segmenter"] {
		t.Errorf("counters %v don't add up", n)
	}
	last := r.out.batches[len(r.out.batches)-1]
	if want := map[string]uint64{"extractor": 2, "time_went_back": 1, "no_frame_for_tick": 25}; fmt.Sprint(last.Skipped) != fmt.Sprint(want) {
		t.Errorf("the last batch tells of %v, want %v", last.Skipped, want)
	}
	// The samples after the long gap don't score those before it.
	for _, b := range r.out.batches {
		for _, s := range wire.AppendValues(nil, b.ScoreSeq) {
			if s > 9 {
				t.Errorf("sample %d has scores", s)
			}
		}
	}
}

func TestTakeAfterABrokenOneBeginsAnew(t *testing.T) {
	r, fresh := newRig(t, RoleExo, older), newRig(t, RoleExo, older)
	r.shots(0, 25) // and no end
	r.take("t2")
	for n := range int64(15) {
		r.shots(300+n, 301+n)
		fresh.shots(300+n, 301+n)
		same(t, fresh, r)
	}
	must(t, r.end(t.Context(), r.src))
	n := 0
	for _, b := range r.out.batches {
		if b.Take == "t2" {
			n += b.Len()
		}
	}
	if n != 15 || r.count.get("dropped_segmenter") != 0 {
		t.Errorf("%d samples of 15 in the second take; counters %v", n, r.count.snapshot())
	}
}

func TestModelsWhoseResultsNoMessageTakes(t *testing.T) {
	for name, change := range map[string]func(*bundle.Manifest){
		"a label of two lines": func(m *bundle.Manifest) { m.Labels[1] = "pick\nup" },
		"a long label":         func(m *bundle.Manifest) { m.Labels[2] = fmt.Sprintf("%0300d", 1) },
	} {
		o := older
		o.Change = change
		m, err := open(modeltest.New(t, o), &model.Selector{})
		if err == nil {
			t.Errorf("%s was taken", name)
			must(t, m.Close())
		}
	}
}

// TestPipelineDoesNotAllocateAFrame: in the steady state only the batch, once a second, and segments take memory.
func TestPipelineDoesNotAllocateAFrame(t *testing.T) {
	for _, role := range []string{RoleExo, RoleEgo} {
		r := newRig(t, role, older)
		r.picture(0) // the same all the time: one segment
		n := int64(0)
		f := &frame.Frame{Mat: r.pic, Width: 64, Height: 48, RawKind: frame.Sidecar}
		step := func() {
			f.Time = clipStart + n*1e8
			f.Raw = f.Time
			if err := r.place(f); err != nil {
				t.Fatal(err)
			}
			n++
		}
		const frames = 300
		lap := func() {
			r.out.batches = r.out.batches[:0]
			for range frames {
				step()
			}
		}
		allocs := testing.AllocsPerRun(1, lap) // and one lap before, to warm up
		made := float64(len(r.out.batches))
		t.Logf("%s: %.0f allocations for %d frames in %.0f batches: %.2f a frame, %.1f a batch", role, allocs, frames, made, allocs/frames, allocs/made)
		if allocs > 8*made {
			t.Errorf("%s: %.1f allocations a batch and its frames, expected at most 8", role, allocs/made)
		}
	}
}

package agent

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"tandem/runtime/model/modeltest"
	"tandem/runtime/segment"
	"tandem/stream/capture"
)

func TestBenchRunsThePipeline(t *testing.T) {
	t.Parallel()
	const n = 40
	path := clip{width: 64, height: 48, frames: n, stamps: even(0)}.write(t, "a.mp4")
	for _, role := range []string{RoleExo, RoleEgo} {
		var seen, committed [2]atomic.Int64
		b, err := NewBench(BenchConfig{
			Bundle: modeltest.New(t, older).Path, Role: role,
			Cameras: []BenchCamera{{Sources: []capture.Config{{Source: path}}}, {Sources: []capture.Config{{Source: path}, {Source: path}}}},
			Observe: func(camera int, x *FrameTimes) {
				if x.Seq != seen[camera].Add(1)-1 && camera == 0 {
					t.Errorf("sample %d is the %dth", x.Seq, seen[camera].Load())
				}
				last := x.Captured
				for _, at := range []int64{
					int64(x.Taken), int64(x.BeganPrepare), int64(x.Prepared), int64(x.BeganExtract), int64(x.Extracted), int64(x.BeganSegment),
					int64(x.Segmented), int64(x.BeganHand), int64(x.HandedOn),
				} {
					if at < int64(last) || at == 0 {
						t.Errorf("times go back: %+v", x)
					}
				}
			},
			Segment: func(camera int, release string, e *segment.Event) {
				if e.Kind == segment.Committed && release == "r1" {
					committed[camera].Add(e.LastSeq - e.FirstSeq + 1)
				}
			},
		})
		must(t, err)
		must(t, b.Run(t.Context()))
		for i, want := range []int64{n, 2 * n} {
			c := b.Counters(i)
			if seen[i].Load() != want || committed[i].Load() != want || c["samples"] != uint64(want) || c["bytes_encoded"] == 0 {
				t.Errorf("%s, camera %d: %d samples seen, %d committed, counters %v; want %d", role, i, seen[i].Load(), committed[i].Load(), c, want)
			}
		}
		must(t, b.Swap(t.Context(), modeltest.New(t, newer).Path))
		if b.Bundle().Release != "r2" || b.Selection() == nil {
			t.Errorf("%s runs", b.Bundle().Release)
		}
		must(t, b.Close())
	}
}

func TestBenchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path := clip{width: 64, height: 48, frames: 20, stamps: even(0)}.write(t, "a.mp4")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b, err := NewBench(BenchConfig{
		Bundle: modeltest.New(t, older).Path, Cameras: []BenchCamera{{Sources: []capture.Config{{Source: path, Loop: true}}}},
		Observe: func(_ int, x *FrameTimes) {
			if x.Seq == 100 {
				cancel()
			}
		},
	})
	must(t, err)
	if err := b.Run(ctx); err != context.Canceled { //nolint:errorlint // exactly this
		t.Errorf("got %v", err)
	}
	must(t, b.Close())
}

func TestBenchThatCannotBe(t *testing.T) {
	for name, c := range map[string]BenchConfig{
		"no camera": {Bundle: modeltest.New(t, older).Path},
		"no bundle": {Bundle: filepath.Join(t.TempDir(), "none"), Cameras: make([]BenchCamera, 1)},
		"role":      {Role: "teacher", Cameras: make([]BenchCamera, 1)},
		"device":    {Bundle: modeltest.New(t, older).Path, Cameras: []BenchCamera{{Device: "No Token"}}},
		"provider":  {Runtime: RuntimeConfig{Providers: []string{"gpu"}}, Cameras: make([]BenchCamera, 1)},
	} {
		if b, err := NewBench(c); err == nil || b != nil {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
	b, err := NewBench(BenchConfig{Bundle: modeltest.New(t, older).Path, Cameras: []BenchCamera{{Sources: []capture.Config{{Source: "none.mp4"}}}}})
	must(t, err)
	if err := b.Run(t.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a recording that isn't there: %v", err)
	}
	must(t, b.Close())
}

package sim

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

func sceneOf(t *testing.T, cfg Config, index int) *Scene {
	t.Helper()
	s, err := NewScene(cfg, TakeSpec{Index: index})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAPerfectClockStampsTheCapture(t *testing.T) {
	cfg := Config{Length: 2 * time.Second, Cameras: []Camera{{ID: "exo1", Genlock: true}}}
	s := sceneOf(t, cfg, 0)
	tc := s.take.Cameras[0]
	if len(tc.CaptureNS) != 60 {
		t.Fatalf("%d frames, want 60", len(tc.CaptureNS))
	}
	for k, raw := range s.take.RawNS(&tc) {
		want := s.take.StartNS + int64(math.Round(float64(k)*1e9/30))
		if raw != want || tc.CaptureNS[k] != want {
			t.Fatalf("frame %d: capture %d, stamp %d, want %d", k, tc.CaptureNS[k], raw, want)
		}
	}
}

func TestStampsHaveTheClocksErrors(t *testing.T) {
	cam := Camera{ID: "ego", Clock: Clock{
		Latency: 80 * time.Millisecond, Offset: -1500 * time.Millisecond, SkewPPM: 250, Jitter: 2 * time.Millisecond,
	}}
	s := sceneOf(t, Config{Length: 10 * time.Minute, Cameras: []Camera{cam}}, 0)
	tc := s.take.Cameras[0]
	raw := s.take.RawNS(&tc)
	var sum, sum2 float64
	for i, at := range tc.CaptureNS {
		// What is left of a stamp after latency, offset and skew is noise.
		noise := float64(raw[i]-at) - 80e6 + 1500e6 - float64(at-s.take.StartNS)*250e-6
		if math.Abs(noise-float64(tc.JitterNS[i])) > 1 {
			t.Fatalf("frame %d: noise %.0f ns, truth says %d", i, noise, tc.JitterNS[i])
		}
		sum += noise
		sum2 += noise * noise
	}
	n := float64(len(raw))
	if mean := sum / n; math.Abs(mean) > 6*2e6/math.Sqrt(n) {
		t.Errorf("noise has mean %.0f ns", mean)
	}
	if sd := math.Sqrt(sum2 / n); sd < 1.9e6 || sd > 2.1e6 {
		t.Errorf("noise has deviation %.0f ns, want 2 ms", sd)
	}
}

func TestStampsAscendWhateverTheNoise(t *testing.T) {
	cam := Camera{ID: "ego", Clock: Clock{Jitter: 200 * time.Millisecond, Double: 0.3}}
	s := sceneOf(t, Config{Cameras: []Camera{cam}}, 0)
	raw := s.take.RawNS(&s.take.Cameras[0])
	for i := 1; i < len(raw); i++ {
		if raw[i] <= raw[i-1] {
			t.Fatalf("stamp %d is %d after %d", i, raw[i], raw[i-1])
		}
	}
}

func TestDropsAndDoublesAreInTheTruth(t *testing.T) {
	cam := Camera{ID: "exo2", Clock: Clock{Drop: 0.1, Double: 0.05}}
	s := sceneOf(t, Config{Length: 5 * time.Minute, Cameras: []Camera{cam}}, 0)
	tc := s.take.Cameras[0]
	captures := 9000
	if n := len(tc.Dropped); n < 750 || n > 1050 {
		t.Errorf("%d of %d captures are lost, want about 900", n, captures)
	}
	if n := len(tc.Doubled); n < 320 || n > 500 {
		t.Errorf("%d doubled, want about 405", n)
	}
	var want []int64
	for k := range captures {
		if slices.Contains(tc.Dropped, k) {
			if slices.Contains(tc.Doubled, k) {
				t.Fatalf("capture %d is lost and doubled", k)
			}
			continue
		}
		at := s.take.StartNS + tc.PhaseNS + int64(math.Round(float64(k)*1e9/30))
		if at >= s.take.StartNS+300e9 {
			break
		}
		want = append(want, at)
		if slices.Contains(tc.Doubled, k) {
			want = append(want, at)
		}
	}
	if !slices.Equal(tc.CaptureNS, want) {
		t.Errorf("%d frames, want %d: captures without the lost ones and the doubled ones twice", len(tc.CaptureNS), len(want))
	}
	raw := s.take.RawNS(&tc)
	for i := 1; i < len(raw); i++ {
		if tc.CaptureNS[i] == tc.CaptureNS[i-1] && raw[i]-raw[i-1] < 10e6 {
			t.Fatalf("frames %d and %d are one capture with stamps %d ns apart", i-1, i, raw[i]-raw[i-1])
		}
	}
}

func TestTheFirstFrameIsNeverLost(t *testing.T) {
	for seed := range uint64(50) {
		cam := Camera{ID: "ego", Clock: Clock{Drop: 0.95}}
		s := sceneOf(t, Config{Seed: seed, Length: time.Second, Cameras: []Camera{cam}}, 0)
		if len(s.take.Cameras[0].CaptureNS) == 0 {
			t.Fatalf("seed %d: no frame at all", seed)
		}
	}
}

func TestCamerasAreNotGenlocked(t *testing.T) {
	s := sceneOf(t, Config{}, 0)
	phases := map[int64]bool{}
	for _, c := range s.take.Cameras {
		if c.PhaseNS < 0 || c.PhaseNS >= 33_333_334 {
			t.Errorf("%s has phase %d ns", c.ID, c.PhaseNS)
		}
		phases[c.PhaseNS] = true
	}
	if len(phases) != 3 {
		t.Errorf("phases %v, want three different ones", phases)
	}
}

func TestOneSettingLeavesTheOthersAlone(t *testing.T) {
	all := sceneOf(t, Config{Seed: 9}, 2)
	ego, _ := all.take.Camera("ego")
	alone := sceneOf(t, Config{Seed: 9, Cameras: DefaultCameras("ego")}, 2)
	if !reflect.DeepEqual(alone.take.Cameras[0], *ego) {
		t.Error("without the other cameras the ego camera is another")
	}
	if !reflect.DeepEqual(alone.take.Segments, all.take.Segments) {
		t.Error("without the other cameras something else is done")
	}
	cams := DefaultCameras("ego")
	cams[0].Width, cams[0].Height, cams[0].Drop = 640, 480, 0.2
	faulty := sceneOf(t, Config{Seed: 9, Cameras: cams}, 2)
	if faulty.take.Cameras[0].PhaseNS != ego.PhaseNS || !reflect.DeepEqual(faulty.take.Segments, all.take.Segments) {
		t.Error("size and losses change what is done or when")
	}
	other := sceneOf(t, Config{Seed: 10}, 2)
	if reflect.DeepEqual(other.take.Segments, all.take.Segments) {
		t.Error("another seed does the same")
	}
}

func TestTakesFollowEachOther(t *testing.T) {
	cfg := Config{Length: time.Minute}
	a, b := sceneOf(t, cfg, 0).Take(), sceneOf(t, cfg, 1).Take()
	if gap := b.StartNS - a.StartNS - 60e9; gap < 1e9 {
		t.Errorf("take 1 begins %d ns after take 0 ends", gap)
	}
	if a.StartNS != DefaultStart.UnixNano() {
		t.Errorf("take 0 begins at %d", a.StartNS)
	}
}

func TestLabelAt(t *testing.T) {
	k := sceneOf(t, Config{}, 0).Take()
	labels := k.FrameLabels()
	if len(labels) != k.Frames {
		t.Fatalf("%d labels for %d frames", len(labels), k.Frames)
	}
	for i, want := range labels {
		at := k.StartNS + int64((float64(i)+0.5)/k.FPS*1e9)
		if got := k.LabelAt(at); got != want {
			t.Fatalf("frame %d: label %q, want %q", i, got, want)
		}
	}
	if k.LabelAt(k.StartNS-1) != Background || k.LabelAt(k.StartNS+61e9) != Background {
		t.Error("outside the take is not background")
	}
}

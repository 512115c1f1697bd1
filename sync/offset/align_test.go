package offset_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"tandem/sync/offset"
)

// event is a burst of motion that all cameras see, each in mixes of its own.
type event struct {
	at, width float64
	kind      int
}

// scene is a row of events over some seconds, with room at both ends.
func scene(seed uint64, seconds float64) []event {
	rng := rand.New(rand.NewPCG(seed, 9))
	var list []event
	for at := -10.0; at < seconds+10; at += 0.3 + 1.2*rng.Float64() {
		list = append(list, event{at, 0.12 + 0.2*rng.Float64(), rng.IntN(4)})
	}
	return list
}

// watch is what a camera sees of it: channels in a mix by seed, at fps, its clock late and running fast.
func watch(events []event, seed uint64, channels int, fps, seconds, late, fast float64) offset.Activity {
	rng := rand.New(rand.NewPCG(seed, 10))
	mix := make([][4]float64, channels)
	for c := range mix {
		for k := range mix[c] {
			mix[c][k] = rng.NormFloat64()
		}
	}
	var a offset.Activity
	a.Channels = make([][]float64, channels)
	for t := rng.Float64() / fps; t < seconds; t += 1 / fps {
		a.Times = append(a.Times, int64(1e9*(t+late+fast*(t-seconds/2))))
		var kinds [4]float64
		for _, e := range events {
			if d := (t - e.at) / e.width; math.Abs(d) < 4 {
				kinds[e.kind] += math.Exp(-d * d / 2)
			}
		}
		for c := range mix {
			v := 0.3 * rng.NormFloat64()
			for k, x := range kinds {
				v += mix[c][k] * x
			}
			a.Channels[c] = append(a.Channels[c], v)
		}
	}
	return a
}

func TestOffsetsInSecondsOfAnyRates(t *testing.T) {
	for i, late := range []float64{-2.91, -0.4, 0.013, 1.27} {
		events := scene(uint64(i), 60)
		one := watch(events, 1, 3, 15, 60, 0, 0)
		for _, fps := range []float64{12.5, 30} {
			m, err := offset.Compare(one, watch(events, 2, 5, fps, 60, late, 0), offset.Search{})
			if err != nil {
				t.Errorf("%g s late at %g fps: %v", late, fps, err)
			}
			if wrong := math.Abs(m.Offset - late); wrong > 0.02 || wrong > m.Bound() {
				t.Errorf("%g s late at %g fps: found %.4f ± %.4f", late, fps, m.Offset, m.Bound())
			}
			if math.Abs(m.Drift) > 4*m.DriftErr {
				t.Errorf("a drift of %g ± %g where there is none", m.Drift, m.DriftErr)
			}
			if len(m.Lags) != len(m.Curve) || m.Lags[0] != -5 {
				t.Errorf("%d lags from %g, %d values", len(m.Lags), m.Lags[0], len(m.Curve))
			}
		}
	}
}

// Five frames a thousand are what 30 and 29.97 fps make of a longer recording.
func TestDriftIsFoundAndTakenOut(t *testing.T) {
	events := scene(5, 240)
	one := watch(events, 1, 3, 15, 240, 0, 0)
	for _, fast := range []float64{-3e-3, 1e-3} {
		m, err := offset.Compare(one, watch(events, 2, 4, 15, 240, 0.5, fast), offset.Search{})
		if err != nil || math.Abs(m.Drift-fast) > 4*m.DriftErr || m.DriftErr > 2e-4 || math.Abs(m.Offset-0.5) > 0.03 {
			t.Errorf("0.5 s late, %g fast: found %.4f s, %g ± %g, %v", fast, m.Offset, m.Drift, m.DriftErr, err)
		}
	}
}

func TestCamerasOnOneClockAreSummed(t *testing.T) {
	events := scene(6, 40)
	one := watch(events, 1, 3, 15, 40, 0, 0)
	a, b := watch(events, 2, 4, 15, 40, 0.8, 0), watch(events, 3, 4, 25, 40, 0.8, 0)
	m, err := offset.Joint(one, []offset.Activity{a, b}, offset.Search{})
	if err != nil || math.Abs(m.Offset-0.8) > 0.02 {
		t.Errorf("found %.4f, %v", m.Offset, err)
	}
	single, _ := offset.Compare(one, a, offset.Search{})
	if m.Height <= 0.8*single.Height {
		t.Errorf("two cameras stand %.1f out, one %.1f", m.Height, single.Height)
	}
}

func TestOtherScenesAreRefused(t *testing.T) {
	claimed, unsure := 0, 0
	for seed := range uint64(30) {
		one := watch(scene(seed, 60), 1, 3, 15, 60, 0, 0)
		_, err := offset.Compare(one, watch(scene(seed+100, 60), 2, 5, 15, 60, 0, 0), offset.Search{})
		switch {
		case err == nil:
			claimed++
		case !errors.Is(err, offset.ErrUnsure):
			t.Fatal(err)
		case !errors.Is(err, offset.ErrUnrelated):
			unsure++
		}
	}
	if claimed > 0 || unsure > 1 {
		t.Errorf("of 30 unrelated pairs, %d were claimed and %d not called unrelated", claimed, unsure)
	}
}

// What the camera's own motion adds is taken out by its nuisance.
func TestNuisanceIsTakenOut(t *testing.T) {
	events := scene(7, 60)
	one, other := watch(events, 1, 3, 15, 60, 0, 0), watch(events, 2, 4, 15, 60, 1.5, 0)
	head := watch(scene(8, 60), 3, 1, 15, 60, 0, 0).Channels[0][:len(one.Times)]
	for _, c := range one.Channels {
		for i := range c {
			c[i] += 6 * head[i]
		}
	}
	with := one
	with.Nuisance = [][]float64{head}
	before, _ := offset.Compare(one, other, offset.Search{})
	m, err := offset.Compare(with, other, offset.Search{})
	if err != nil || math.Abs(m.Offset-1.5) > 0.02 || m.Height < before.Height {
		t.Errorf("found %.3f at %.1f, without %.1f, %v", m.Offset, m.Height, before.Height, err)
	}
}

func TestActivitiesThatCannotBeCompared(t *testing.T) {
	events := scene(9, 60)
	good := watch(events, 1, 2, 15, 60, 0, 0)
	short := watch(events, 2, 2, 15, 15, 0, 0)
	var few *offset.TooShort
	if _, err := offset.Compare(good, short, offset.Search{}); !errors.As(err, &few) || !errors.Is(err, offset.ErrUnsure) || !strings.Contains(err.Error(), "expected at least 20.0 s") {
		t.Errorf("15 s give %v", err)
	}
	if _, err := offset.Compare(good, short, offset.Search{Band: 2 * time.Second}); errors.As(err, &few) {
		t.Errorf("15 s in a band of 2 s give %v", err)
	}
	if m, err := offset.Compare(good, watch(events, 2, 2, 15, 60, 4.99, 0), offset.Search{Band: time.Second}); err == nil {
		t.Errorf("an offset outside of the band gives %+v", m.Offset)
	}
	back, nan, still := watch(events, 1, 2, 15, 60, 0, 0), watch(events, 1, 2, 15, 60, 0, 0), watch(events, 1, 2, 15, 60, 0, 0)
	back.Times[7] = back.Times[6]
	nan.Channels[1][3] = math.NaN()
	for c := range still.Channels {
		clear(still.Channels[c])
	}
	for want, a := range map[string]offset.Activity{"instant 7 is": back, "channel 1 is NaN at instant 3": nan, "0 instants": {}, "no channels": {Times: []int64{1, 2}}} {
		if _, err := offset.Compare(good, a, offset.Search{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := offset.Compare(good, still, offset.Search{}); !errors.Is(err, offset.ErrUnrelated) {
		t.Errorf("nothing happens: %v", err)
	}
	if _, err := offset.Compare(good, good, offset.Search{Drop: time.Millisecond}); err == nil {
		t.Error("a band-pass without a band was taken")
	}
	if _, err := offset.Joint(good, nil, offset.Search{}); err == nil {
		t.Error("nothing was compared with")
	}
}

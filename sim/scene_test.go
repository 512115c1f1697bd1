package sim

import (
	"math"
	"testing"
	"time"

	"tandem/sim/internal/raster"
)

func animated(t *testing.T, cfg Config, index int) *Scene {
	t.Helper()
	s := sceneOf(t, cfg, index)
	s.animate()
	return s
}

func TestHandsMoveLikeHands(t *testing.T) {
	for index := range 4 {
		s := animated(t, Config{Seed: 2, Length: time.Minute}, index)
		const dt = 1.0 / 240
		prev := s.at(0)
		for i := 1; i < 60*240; i++ {
			now := s.at(float64(i) * dt)
			for k := range now.hand {
				p := now.hand[k].pos
				if speed := p.Sub(prev.hand[k].pos).Len() / dt; speed > 7 {
					t.Fatalf("take %d, %.2f s, %q: hand %d moves at %.1f m/s", index, float64(i)*dt, s.take.LabelAt(s.take.StartNS+int64(float64(i)*dt*1e9)), k, speed)
				}
				near := raster.V(now.body.x, now.body.y, 0.3)
				if d := p.Sub(near).Len(); d > 1.25 {
					t.Fatalf("take %d, %.2f s: hand %d is %.2f m from the body", index, float64(i)*dt, k, d)
				}
			}
			if d := now.eye.Sub(prev.eye).Len() / dt; d > 3 {
				t.Fatalf("take %d, %.2f s: the head moves at %.1f m/s", index, float64(i)*dt, d)
			}
			prev = now
		}
	}
}

// TestTheHeadCameraSeesTheWork checks that the spot of an action is well inside the ego picture for most of the time that it
// is being done, glances aside.
func TestTheHeadCameraSeesTheWork(t *testing.T) {
	l := raster.NewLens(320, 240, 1.85, 0.25)
	for index := range 4 {
		s := animated(t, Config{Seed: 6, Length: 3 * time.Minute}, index)
		seen, away, n := 0, 0, 0
		for _, st := range s.steps {
			act := builtin[st.action]
			if act.motion == idle || act.motion == pack || st.end-st.start < 40 {
				continue
			}
			for u := 0.35; u < 0.8; u += 0.05 {
				c := s.at(s.secs(st.start) + u*s.secs(st.end-st.start))
				l.Aim(c.eye, c.gaze, c.headRoll)
				d := l.R.Apply(act.spot.Add(raster.V(0, 0, 0.05)).Sub(l.Eye))
				angle := math.Atan2(math.Hypot(d.X, d.Y), d.Z)
				n++
				if angle < 0.6 {
					seen++
				}
				if angle > 0.9 {
					away++
				}
			}
		}
		if part := float64(seen) / float64(n); part < 0.9 {
			t.Errorf("take %d: the work is within 35 degrees of the middle of the view in %.0f %% of the time", index, 100*part)
		}
		if part := float64(away) / float64(n); part > 0.05 {
			t.Errorf("take %d: the work is out of view in %.0f %% of the time", index, 100*part)
		}
	}
}

func TestLeftHandedWorkersUseTheOtherHand(t *testing.T) {
	s := animated(t, Config{Seed: 1}, 2)
	if !s.worker.LeftHanded {
		t.Fatalf("worker %s isn't left-handed", s.worker.ID)
	}
	for _, st := range s.steps {
		if st.action != aScrew {
			continue
		}
		c := s.at(s.secs(st.start) + 0.5*s.secs(st.end-st.start))
		if c.mainHand != 1 || c.held.tool != driver || c.hand[1].pos.Z < c.hand[0].pos.Z {
			t.Errorf("main hand %d holds tool %d", c.mainHand, c.held.tool)
		}
	}
}

func TestTheAssemblyGrows(t *testing.T) {
	s := sceneOf(t, Config{Seed: 1, Length: 5 * time.Minute}, 0)
	for i, st := range s.steps {
		if i > 0 && st.before != s.steps[i-1].after {
			t.Fatalf("step %d begins with another assembly than step %d leaves", i, i-1)
		}
		switch st.action {
		case aPlace:
			if st.before.part[st.part] != 0 || st.after.part[st.part] != st.part+1 {
				t.Errorf("step %d places part %d: %v, then %v", i, st.part, st.before, st.after)
			}
		case aPack:
			if !st.after.empty() || st.after.packed != st.before.packed+1 || st.before.height() < 0.1 {
				t.Errorf("step %d packs %v, leaves %v", i, st.before, st.after)
			}
		}
	}
}

func TestMotionOfEveryFormIsFinite(t *testing.T) {
	p := &Process{Name: "forms"}
	for i := range 2 * len(forms) {
		p.Steps = append(p.Steps, Step{i * 20, i*20 + 20, string(rune('a'+i%26)) + string(rune('a'+i/26))})
	}
	s := animated(t, Config{Processes: []*Process{p}}, 2)
	for i := range 60 * len(forms) {
		c := s.at(float64(i) / 60)
		for _, v := range []raster.Vec{c.hand[0].pos, c.hand[1].pos, c.eye, c.gaze, c.aim.asm.T} {
			if d := v.Len(); !(d < 5) {
				t.Fatalf("%.2f s: a point is %.1f m away", float64(i)/60, d)
			}
		}
		if c.held.part > len(s.vocab.looks) {
			t.Fatalf("part %d of %d", c.held.part, len(s.vocab.looks))
		}
	}
}

// TestPicturesShowTheAction renders each camera's picture in the middle of two actions; they must differ more than by noise.
func TestPicturesShowTheAction(t *testing.T) {
	cfg := small()
	cfg.Length = time.Minute
	s := animated(t, cfg, 0)
	c := newCell(s.vocab, &s.worker)
	for i := range s.cfg.Cameras {
		cam := &s.cfg.Cameras[i]
		sn, err := newSensor(s, cam)
		if err != nil {
			t.Fatal(err)
		}
		defer sn.Close()
		st := newStudio(s, c, cam, sn.pix)
		shot := func(action int) []byte {
			for _, step := range s.steps {
				if step.action == action {
					at := s.secs(step.start) + 0.5*s.secs(step.end-step.start)
					dx, dy := st.shoot(at, sn.gain, egoExposure)
					if err := sn.develop(at, 0, dx, dy); err != nil {
						t.Fatal(err)
					}
					b, err := sn.frame.DataPtrUint8()
					if err != nil {
						t.Fatal(err)
					}
					return append([]byte(nil), b...)
				}
			}
			t.Fatalf("nobody does %s", builtin[action].name)
			return nil
		}
		mono, other := shot(aScrew), shot(aPickBase)
		diff, colour := 0, 0
		for k := 0; k < len(mono); k += 3 {
			if d := int(mono[k]) - int(other[k]); d > 25 || d < -25 {
				diff++
			}
			if mono[k] != mono[k+1] || mono[k] != mono[k+2] {
				colour++
			}
		}
		if part := float64(3*diff) / float64(len(mono)); part < 0.05 {
			t.Errorf("%s: %.1f %% of the picture differ between two actions", cam.ID, 100*part)
		}
		if ego := cam.ID == "ego"; ego != (colour == 0) {
			t.Errorf("%s: %d pixels have colour", cam.ID, colour)
		}
	}
}

package sim

import (
	"fmt"
	"testing"
	"time"
)

// bench follows a built-in process and says what is wrong with a step.
type bench struct {
	hand             int // part, -1 for none
	placed           [slots]bool
	hammered         bool
	screwed          bool
	scanned, checked bool
	started          bool
}

func newBench() *bench { return &bench{hand: -1} }

func (b *bench) do(a, part int) error {
	inHand := func(want bool) error {
		if (b.hand >= 0) != want {
			return fmt.Errorf("with part %d in hand", b.hand)
		}
		return nil
	}
	need := func(ok bool, what string) error {
		if !ok {
			return fmt.Errorf("before %s", what)
		}
		return inHand(false)
	}
	whole := b.placed == [slots]bool{true, true, true, true}
	switch a {
	case aBackground:
		return nil
	case aScreen:
		return need(!b.started, "the product was packed")
	case aPickBase, aPickGear, aPickShaft, aPickCover:
		if err := inHand(false); err != nil {
			return err
		}
		if pickOf[part] != a {
			return fmt.Errorf("of part %d", part)
		}
		b.hand, b.started = part, true
	case aPutBack:
		if err := inHand(true); err != nil {
			return err
		}
		if part != b.hand {
			return fmt.Errorf("of part %d with part %d in hand", part, b.hand)
		}
		b.hand = -1
	case aPlace:
		if err := inHand(true); err != nil {
			return err
		}
		switch {
		case part != b.hand:
			return fmt.Errorf("of part %d with part %d in hand", part, b.hand)
		case b.placed[part]:
			return fmt.Errorf("of part %d again", part)
		case part != partBase && !b.placed[partBase]:
			return fmt.Errorf("of part %d before the base", part)
		case part == partCover && (!b.placed[partGear] || !b.placed[partShaft] || !b.hammered):
			return fmt.Errorf("of the cover before all is in")
		}
		b.placed[part], b.hand = true, -1
	case aHammer:
		b.hammered = true
		return need(b.placed[partGear] && !b.placed[partCover], "the gear, or under the cover")
	case aScrew:
		b.screwed = true
		return need(whole, "the cover")
	case aScan:
		b.scanned = true
		return need(b.screwed, "it was screwed")
	case aInspect:
		b.checked = true
		return need(b.screwed, "it was screwed")
	case aWipe:
		return need(b.scanned && b.checked, "scan and inspection")
	case aPack:
		err := need(b.scanned && b.checked, "scan and inspection")
		*b = *newBench()
		return err
	}
	return nil
}

func TestProcessKeepsItsOrderForAnySeed(t *testing.T) {
	counts := map[int]int{}
	mistakes, repeats, rescrews, products := 0, 0, 0, 0
	for seed := range uint64(1000) {
		s, err := NewScene(Config{Seed: seed, Length: 100 * time.Second, Cameras: []Camera{{ID: "ego", FPS: 1}}}, TakeSpec{Index: int(seed % 7)})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench()
		at, prev, hammers, screws := 0, -1, 0, 0
		for i, st := range s.steps {
			last := i == len(s.steps)-1
			if st.start != at || st.end <= st.start {
				t.Fatalf("seed %d: step %d is [%d, %d), want it to begin in %d", seed, i, st.start, st.end, at)
			}
			if st.action == prev {
				t.Fatalf("seed %d: step %d repeats %q without a pause", seed, i, builtin[prev].name)
			}
			if err := b.do(st.action, st.part); err != nil {
				t.Fatalf("seed %d: step %d: %s %v", seed, i, builtin[st.action].name, err)
			}
			secs := float64(st.end-st.start) / 30
			if !last && st.action != aBackground && (secs < 1.45 || secs > 6.55) {
				t.Errorf("seed %d: %s takes %.2f s", seed, builtin[st.action].name, secs)
			}
			switch st.action {
			case aPutBack:
				mistakes++
			case aHammer:
				if hammers++; hammers == 2 {
					repeats++
				}
			case aScrew:
				if screws++; screws == 2 {
					rescrews++
				}
			case aPack:
				hammers, screws = 0, 0
				products++
			}
			counts[st.action]++
			at, prev = st.end, st.action
		}
		if at != 3000 {
			t.Fatalf("seed %d: steps end in %d, want 3000", seed, at)
		}
	}
	for a := range builtin {
		if counts[a] < 300 {
			t.Errorf("%q occurs %d times in 1000 takes", builtin[a].name, counts[a])
		}
	}
	for what, n := range map[string]int{"wrong parts": mistakes, "second hammerings": repeats, "second screwings": rescrews} {
		if rate := float64(n) / float64(products); rate < 0.1 || rate > 1.5 {
			t.Errorf("%.2f %s a product", rate, what)
		}
	}
}

func TestCrewDiffersAndStaysTheSame(t *testing.T) {
	left, gloves := 0, 0
	for i := range 4 {
		w := newWorker(3, i, 4)
		if w != newWorker(3, i, 4) {
			t.Errorf("worker %d is somebody else the second time", i)
		}
		if w.LeftHanded {
			left++
		}
		if w.Gloves {
			gloves++
		}
		if w.Speed < 0.8 || w.Speed > 1.2 {
			t.Errorf("worker %d has speed %g", i, w.Speed)
		}
	}
	if left != 1 || gloves != 2 {
		t.Errorf("a crew of four has %d left-handed and %d with gloves, want 1 and 2", left, gloves)
	}
	a, err := NewScene(Config{Seed: 5, Cameras: DefaultCameras("ego")}, TakeSpec{Index: 1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewScene(Config{Seed: 5, Cameras: DefaultCameras("ego")}, TakeSpec{Index: 5})
	if err != nil {
		t.Fatal(err)
	}
	if a.take.Worker != b.take.Worker {
		t.Error("takes 1 and 5 of a crew of four have different workers")
	}
}

package frame

import (
	"errors"
	"sync"
	"testing"

	"gocv.io/x/gocv"
)

func TestPoolHandsOutEachFrameOnce(t *testing.T) {
	p := mustPool(t, 3)
	seen := map[*Frame]bool{}
	for range 3 {
		f, ok := p.Get()
		if !ok || seen[f] {
			t.Fatalf("Get = %p, %v; want a new frame", f, ok)
		}
		seen[f] = true
	}
	if _, ok := p.Get(); ok {
		t.Fatal("an empty pool handed out a frame")
	}
	if got := p.Outstanding(); got != 3 {
		t.Fatalf("Outstanding = %d, want 3", got)
	}
	for f := range seen {
		if err := p.Put(f); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Outstanding(); got != 0 {
		t.Fatalf("Outstanding = %d after all came back", got)
	}
}

func TestPoolRefusesFramesThatAreNotOut(t *testing.T) {
	p, other := mustPool(t, 2), mustPool(t, 1)
	f, _ := p.Get()
	if err := other.Put(f); !errors.Is(err, ErrNotOut) {
		t.Errorf("frame of another pool: %v, want ErrNotOut", err)
	}
	if err := p.Put(f); err != nil {
		t.Fatal(err)
	}
	if err := p.Put(f); !errors.Is(err, ErrNotOut) {
		t.Errorf("second Put: %v, want ErrNotOut", err)
	}
	if err := p.Put(&Frame{}); !errors.Is(err, ErrNotOut) {
		t.Errorf("frame of no pool: %v, want ErrNotOut", err)
	}
	if err := p.Put(nil); err != nil {
		t.Errorf("Put(nil) = %v", err)
	}
}

func TestPoolCloseReportsAndLaterFreesFramesStillOut(t *testing.T) {
	p, err := NewPool(2, 32, 16, 1)
	if err != nil {
		t.Fatal(err)
	}
	f, _ := p.Get()
	if err := p.Close(); !errors.Is(err, ErrOutstanding) || err.Error() != "1 of 2 frames were not given back" {
		t.Fatalf("Close = %v", err)
	}
	if f.Mat.Closed() || f.Mat.Cols() != 32 || f.Mat.Type() != gocv.MatTypeCV8UC1 {
		t.Fatal("a frame still out lost its pixels")
	}
	if _, ok := p.Get(); ok {
		t.Fatal("a closed pool handed out a frame")
	}
	if err := p.Put(f); err != nil {
		t.Fatal(err)
	}
	if !f.Mat.Closed() {
		t.Fatal("Put after Close left the pixels allocated")
	}
	if err := p.Close(); err != nil {
		t.Fatalf("Close after all came back = %v", err)
	}
}

func TestPoolRefusesNonsense(t *testing.T) {
	for _, c := range [][2]int{{0, 3}, {-1, 3}, {1, 0}, {1, 4}} {
		if p, err := NewPool(c[0], 8, 8, c[1]); err == nil {
			t.Errorf("NewPool(%d frames, %d channels) = %v, want an error", c[0], c[1], p)
		}
	}
}

func TestPoolIsSafeForConcurrentUse(t *testing.T) {
	p := mustPool(t, 4)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				f, ok := p.Get()
				if !ok {
					continue
				}
				f.Index++
				if err := p.Put(f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := p.Outstanding(); got != 0 {
		t.Fatalf("Outstanding = %d", got)
	}
}

func TestPoolDoesNotAllocate(t *testing.T) {
	p := mustPool(t, 2)
	if n := testing.AllocsPerRun(100, func() {
		f, _ := p.Get()
		if err := p.Put(f); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a Get and a Put", n)
	}
}

func mustPool(t *testing.T, n int) *Pool {
	t.Helper()
	p, err := NewPool(n, 16, 8, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

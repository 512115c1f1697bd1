package frame

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestRingBlockLosesNothing(t *testing.T) {
	const n = 1000
	r := mustRing(t, 3, Block)
	go func() {
		for i := range n {
			if _, err := r.Push(t.Context(), &Frame{Index: int64(i)}); err != nil {
				t.Error(err)
			}
		}
		r.Close(nil)
	}()
	for i := range n {
		f, err := r.Pop(t.Context())
		if err != nil || f.Index != int64(i) {
			t.Fatalf("frame %d: got %+v, %v", i, f, err)
		}
	}
	if _, err := r.Pop(t.Context()); !errors.Is(err, io.EOF) {
		t.Fatalf("after the end: %v, want io.EOF", err)
	}
	if r.Dropped() != 0 {
		t.Fatalf("dropped %d", r.Dropped())
	}
}

func TestRingDropOldestKeepsTheNewest(t *testing.T) {
	r := mustRing(t, 2, DropOldest)
	for i := range 5 {
		evicted, err := r.Push(t.Context(), &Frame{Index: int64(i)})
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 && evicted != nil || i >= 2 && (evicted == nil || evicted.Index != int64(i-2)) {
			t.Fatalf("push %d evicted %+v", i, evicted)
		}
	}
	if r.Dropped() != 3 || r.Len() != 2 || r.Cap() != 2 {
		t.Fatalf("dropped %d, len %d, cap %d", r.Dropped(), r.Len(), r.Cap())
	}
	for want := int64(3); want < 5; want++ {
		if f, err := r.Pop(t.Context()); err != nil || f.Index != want {
			t.Fatalf("got %+v, %v; want frame %d", f, err, want)
		}
	}
}

func TestRingDeliversWhatIsLeftAfterClose(t *testing.T) {
	r := mustRing(t, 4, Block)
	for i := range 2 {
		if _, err := r.Push(t.Context(), &Frame{Index: int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	cause := errors.New("camera is gone")
	r.Close(cause)
	r.Close(nil)
	if _, err := r.Push(t.Context(), &Frame{}); !errors.Is(err, ErrClosed) {
		t.Fatalf("Push after Close: %v", err)
	}
	if f, err := r.Pop(t.Context()); err != nil || f.Index != 0 {
		t.Fatalf("got %+v, %v", f, err)
	}
	if f, ok := r.TryPop(); !ok || f.Index != 1 {
		t.Fatalf("TryPop = %+v, %v", f, ok)
	}
	if _, ok := r.TryPop(); ok {
		t.Fatal("TryPop found a frame in an empty ring")
	}
	if _, err := r.Pop(t.Context()); !errors.Is(err, cause) {
		t.Fatalf("at the end: %v, want the first close's error", err)
	}
}

func TestRingWaitsAreEndedByContextAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustRing(t, 1, Block)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := r.Pop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Pop from an empty ring: %v", err)
		}
		if _, err := r.Push(t.Context(), &Frame{}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Pop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Pop with a done context: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := r.Push(ctx, &Frame{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Push to a full ring: %v", err)
		}

		blocked := make(chan error, 3)
		go func() {
			_, err := r.Push(t.Context(), &Frame{})
			blocked <- err
		}()
		synctest.Wait()
		r.Close(nil)
		if err := <-blocked; !errors.Is(err, ErrClosed) {
			t.Fatalf("Push while closing: %v", err)
		}

		empty := mustRing(t, 1, Block)
		for range 3 {
			go func() {
				_, err := empty.Pop(t.Context())
				blocked <- err
			}()
		}
		synctest.Wait()
		empty.Close(nil)
		for range 3 {
			if err := <-blocked; !errors.Is(err, io.EOF) {
				t.Fatalf("Pop while closing: %v", err)
			}
		}
	})
}

func TestRingWakesEveryWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 4
		r := mustRing(t, n, Block)
		got := make(chan int64, n)
		for range n {
			go func() {
				f, err := r.Pop(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				got <- f.Index
			}()
		}
		synctest.Wait()
		for i := range n {
			if _, err := r.Push(t.Context(), &Frame{Index: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(got) != n {
			t.Fatalf("%d of %d waiters got a frame", len(got), n)
		}

		full := mustRing(t, n, Block)
		for range n {
			if _, err := full.Push(t.Context(), &Frame{}); err != nil {
				t.Fatal(err)
			}
		}
		pushed := make(chan error, n)
		for range n {
			go func() {
				_, err := full.Push(t.Context(), &Frame{})
				pushed <- err
			}()
		}
		synctest.Wait()
		for range n {
			full.TryPop()
		}
		synctest.Wait()
		if len(pushed) != n {
			t.Fatalf("%d of %d producers got through", len(pushed), n)
		}
	})
}

func TestRingDoesNotAllocate(t *testing.T) {
	for _, rule := range []Overflow{Block, DropOldest} {
		r, f, ctx := mustRing(t, 2, rule), &Frame{}, t.Context()
		if n := testing.AllocsPerRun(100, func() {
			_, err := r.Push(ctx, f)
			_, popErr := r.Pop(ctx)
			if err != nil || popErr != nil {
				t.Error(err, popErr)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations for a frame", rule, n)
		}
	}
}

func TestRingRefusesNoRoom(t *testing.T) {
	if _, err := NewRing(0, Block); err == nil {
		t.Fatal("a ring of no frames was made")
	}
}

func mustRing(t *testing.T, n int, rule Overflow) *Ring {
	t.Helper()
	r, err := NewRing(n, rule)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

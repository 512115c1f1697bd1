package agent

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

func TestHistory(t *testing.T) {
	var h history
	rows := func(m mark) (string, mark, bool) {
		r, now, whole := h.since(m)
		return fmt.Sprint(r), now, whole
	}
	expect := func(m mark, want string, wantWhole bool) mark {
		t.Helper()
		got, now, whole := rows(m)
		if got != want || whole != wantWhole {
			t.Errorf("since %+v: %s, whole %v; want %s, %v", m, got, whole, want, wantWhole)
		}
		return now
	}
	expect(mark{}, "[]", true) // before any take
	h.reset(2, 3)
	expect(mark{}, "[]", false)
	h.add([]float32{1, 1})
	h.add([]float32{2, 2})
	two := expect(mark{}, "[1 1 2 2]", false)
	expect(two, "[]", true)
	h.add([]float32{3, 3})
	h.add([]float32{4, 4})
	expect(two, "[3 3 4 4]", true)
	expect(mark{}, "[2 2 3 3 4 4]", false)
	h.add([]float32{5, 5})
	expect(two, "[3 3 4 4 5 5]", true) // just
	h.add([]float32{6, 6})
	expect(two, "[4 4 5 5 6 6]", false) // row 3 is gone: these don't continue row 2
	six := expect(mark{}, "[4 4 5 5 6 6]", false)

	h.grow(5)
	h.grow(2) // has more already
	expect(six, "[]", true)
	h.repeat(2)
	h.add([]float32{7, 7})
	expect(six, "[6 6 6 6 7 7]", true)
	expect(mark{}, "[5 5 6 6 6 6 6 6 7 7]", false)
	if h.kept() != 5 {
		t.Errorf("%d rows are kept", h.kept())
	}

	h.clear()
	expect(six, "[]", false) // of another take
	h.repeat(3)              // nothing to repeat
	h.add([]float32{8, 8})
	expect(six, "[8 8]", false)

	h.reset(1, 0) // a network without memory
	h.add([]float32{9})
	h.repeat(2)
	h.grow(2)
	h.add([]float32{10})
	if got, now, _ := rows(mark{}); got != "[10]" || now.total != 4 {
		t.Errorf("%s, %+v", got, now)
	}
}

// TestHistorySnapshotsContinue takes snapshots while rows are added: together they hold every row once, in order.
func TestHistorySnapshotsContinue(t *testing.T) {
	var h history
	h.reset(1, 50)
	const n = 5000
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := range n {
			h.add([]float32{float32(i)})
		}
	})
	rng := rand.New(rand.NewPCG(1, 2))
	var got []float32
	at := mark{epoch: 1}
	for len(got) == 0 || got[len(got)-1] != n-1 {
		rows, now, whole := h.since(at)
		if !whole {
			got = nil
		}
		got, at = append(got, rows...), now
		for range rng.IntN(100) {
			h.kept()
		}
	}
	wait.Wait()
	for i := range got {
		if want := float32(n - len(got) + i); got[i] != want {
			t.Fatalf("row %d of %d is %v, want %v", i, len(got), got[i], want)
		}
	}
}

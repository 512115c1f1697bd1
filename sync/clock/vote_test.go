package clock

import (
	"strings"
	"testing"
)

func TestDecide(t *testing.T) {
	v := func(name string, lo, hi int64, state State) vote {
		return vote{name, Estimate{Offset: (lo + hi) / 2, Lo: lo, Hi: hi, State: state, Known: true}}
	}
	nothing := vote{name: "nothing"}
	for _, c := range []struct {
		name    string
		votes   []vote
		winner  string
		lo, hi  int64
		state   State
		dispute string
	}{
		{"one", []vote{v("hub", 0, 10, Locked)}, "hub", 0, 10, Locked, ""},
		{"the first of equals", []vote{v("phc", 4, 6, Locked), v("hub", 0, 10, Locked)}, "phc", 4, 6, Locked, ""},
		{"the better state", []vote{v("chrony", 0, 10, Holdover), v("hub", 0, 10, Locked)}, "hub", 0, 10, Locked, ""},
		{"unknown ones have no vote", []vote{nothing, v("hub", 0, 10, Locked)}, "hub", 0, 10, Locked, ""},
		{"unsynchronized ones have no vote", []vote{v("chrony", 50, 60, Unsynchronized), v("hub", 0, 10, Locked)}, "hub", 0, 10, Locked, ""},
		{"better an unusable bound than none", []vote{nothing, v("hub", 0, 10, Unsynchronized)}, "hub", 0, 10, Unsynchronized, ""},
		{"two disagree", []vote{v("hub", 0, 10, Locked), v("liar", 3e9, 3e9+10, Locked)}, "hub", 0, 3e9 + 10, Converging, "hub and liar differ by 3s"},
		{"two of three", []vote{v("liar", 3e9, 3e9+10, Locked), v("a", 0, 10, Locked), v("b", 5, 15, Locked)}, "a", 0, 10, Locked, "liar is 3s off"},
		{"all differ", []vote{v("a", 0, 1, Locked), v("b", 10, 11, Locked), v("c", 20, 21, Locked)}, "a", 0, 21, Converging, "a and b differ"},
		{"two of four are none", []vote{v("a", 0, 1, Locked), v("b", 0, 1, Locked), v("c", 20, 21, Locked), v("d", 20, 21, Locked)}, "a", 0, 21, Converging, "a and c differ"},
	} {
		winner, dispute, ok := decide(c.votes)
		if !ok || winner.name != c.winner || winner.Lo != c.lo || winner.Hi != c.hi || winner.State != c.state {
			t.Errorf("%s: %+v, %v", c.name, winner, ok)
		}
		if (dispute == nil) != (c.dispute == "") || dispute != nil && !strings.Contains(dispute.Error(), c.dispute) {
			t.Errorf("%s: dispute %v, expected %q", c.name, dispute, c.dispute)
		}
	}
	if _, _, ok := decide([]vote{nothing, nothing}); ok {
		t.Error("nobody knows anything, and somebody won")
	}
}

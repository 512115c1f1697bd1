package trainer

import (
	"cmp"
	"slices"
)

// Split of a line's paired takes: what the student is trained on, what its checkpoint is chosen by, and what it is
// reported and gated on. The three never share a moment, on any rig.
type Split struct{ Train, Choose, Gate []*PairedTake }

// minTakes is how many takes it needs to split by whole takes; with fewer, they are split by time.
const minTakes = 5

// SplitTakes holds out every fifth take for the choice of the checkpoint and every fifth for the gate, counted in the
// order of time. Takes of several rigs that overlap in time show the same work, so they count as one and stay together.
// With fewer than five, each is cut in time: the first 60 % to train on, then 20 % to choose by and 20 % to gate on.
// Every sample of the takes is in the split, once.
func SplitTakes(takes []*PairedTake) Split {
	var s Split
	groups := together(takes)
	for i, g := range groups {
		if len(groups) < minTakes {
			s.cut(g)
			continue
		}
		switch i % minTakes {
		case 2:
			s.Choose = append(s.Choose, g...)
		case 4:
			s.Gate = append(s.Gate, g...)
		default:
			s.Train = append(s.Train, g...)
		}
	}
	return s
}

// span returns the first and the last instant of a take.
func (p *PairedTake) span() (start, end int64) {
	return slices.Min(p.Ego.Times), slices.Max(p.Ego.Times)
}

// together groups the takes that overlap in time, directly or through others, in the order of time.
func together(takes []*PairedTake) [][]*PairedTake {
	sorted := slices.DeleteFunc(slices.Clone(takes), func(p *PairedTake) bool { return p.Ego.Len() == 0 })
	slices.SortStableFunc(sorted, func(p, q *PairedTake) int {
		a, _ := p.span()
		b, _ := q.span()
		return cmp.Or(cmp.Compare(a, b), p.ID.compare(q.ID))
	})
	var groups [][]*PairedTake
	var until int64
	for _, p := range sorted {
		start, end := p.span()
		if n := len(groups); n > 0 && start <= until {
			groups[n-1] = append(groups[n-1], p)
			until = max(until, end)
			continue
		}
		groups = append(groups, []*PairedTake{p})
		until = end
	}
	return groups
}

// cut divides takes at the same two instants, after 60 % and 80 % of the time that they cover.
func (s *Split) cut(takes []*PairedTake) {
	start, end := takes[0].span()
	for _, p := range takes {
		a, b := p.span()
		start, end = min(start, a), max(end, b)
	}
	at := func(p *PairedTake, share float64) int {
		i, _ := slices.BinarySearch(p.Ego.Times, start+int64(share*float64(end-start)))
		return i
	}
	for _, p := range takes {
		a, n := at(p, 0.6), p.Ego.Len()
		b := max(a, at(p, 0.8)) // times may go back where a clock was set
		for _, part := range []struct {
			list     *[]*PairedTake
			from, to int
		}{{&s.Train, 0, a}, {&s.Choose, a, b}, {&s.Gate, b, n}} {
			if part.from < part.to {
				*part.list = append(*part.list, p.slice(part.from, part.to))
			}
		}
	}
}

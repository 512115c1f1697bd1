package tas

// tally counts predicted runs that hit, those that didn't, and true runs that nothing hit.
type tally struct{ hits, falseAlarms, misses int }

// f1 is the harmonic mean of precision and recall in per cent; 100 if there was nothing to find and nothing was claimed.
func (t tally) f1() float64 {
	all := 2*t.hits + t.falseAlarms + t.misses
	if all == 0 {
		return 100
	}
	return 200 * float64(t.hits) / float64(all)
}

// countMatches adds one video's runs to the tallies, one for each of overlaps. Both lists are in time order and without
// overlap within themselves, so one pass over each label's true runs serves all predicted runs of the label.
func countMatches(found *[len(overlaps)]tally, claim, truth []Segment) {
	byLabel := make(map[int][]int) // the true runs of a label that don't end before what was claimed last
	for i, g := range truth {
		byLabel[g.Label] = append(byLabel[g.Label], i)
	}
	taken := make([][len(overlaps)]bool, len(truth))
	for _, p := range claim {
		rest := byLabel[p.Label]
		for len(rest) > 0 && truth[rest[0]].End <= p.Start {
			rest = rest[1:]
		}
		byLabel[p.Label] = rest
		best, inter, union := bestOverlap(p, truth, rest)
		for k, least := range overlaps {
			if best < 0 || 100*inter < least*union || taken[best][k] {
				found[k].falseAlarms++
				continue
			}
			taken[best][k] = true
			found[k].hits++
		}
	}
	for _, t := range taken {
		for k := range overlaps {
			if !t[k] {
				found[k].misses++
			}
		}
	}
}

// bestOverlap is the candidate with the largest intersection over union with p, the earliest on a tie, and both parts of
// that fraction in frames; -1 if none overlaps. Fractions are compared in whole numbers, so a tie is a tie.
func bestOverlap(p Segment, truth []Segment, candidates []int) (best, inter, union int) {
	best, union = -1, 1
	for _, i := range candidates {
		g := truth[i]
		if g.Start >= p.End {
			break
		}
		in := min(p.End, g.End) - max(p.Start, g.Start)
		un := p.Len() + g.Len() - in
		if in*union > inter*un {
			best, inter, union = i, in, un
		}
	}
	return best, inter, union
}

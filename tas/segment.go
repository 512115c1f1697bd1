package tas

// Segment is a class on the half-open interval [Start, End) of frames.
type Segment struct {
	Label      int
	Start, End int
}

// Len is the number of frames.
func (s Segment) Len() int { return s.End - s.Start }

// Runs splits a per-frame sequence of classes into its maximal blocks of equal classes, in time order. They cover the
// sequence without gap or overlap.
func Runs(frames []int) []Segment {
	var runs []Segment
	for start := 0; start < len(frames); {
		end := start + 1
		for end < len(frames) && frames[end] == frames[start] {
			end++
		}
		runs = append(runs, Segment{Label: frames[start], Start: start, End: end})
		start = end
	}
	return runs
}

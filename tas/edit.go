package tas

// editScore is 100 (1 - lev(claim, truth) / max(|claim|, |truth|)) over the labels of the runs; 100 if both are empty.
func editScore(claim, truth []Segment) float64 {
	longest := max(len(claim), len(truth))
	if longest == 0 {
		return 100
	}
	return 100 * (1 - float64(levenshtein(claim, truth))/float64(longest))
}

// levenshtein is the least number of insertions, deletions and substitutions of labels that turns a into b. It takes
// time |a| |b| and memory min(|a|, |b|); equal ends cost nothing.
func levenshtein(a, b []Segment) int {
	for len(a) > 0 && len(b) > 0 && a[0].Label == b[0].Label {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1].Label == b[len(b)-1].Label {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	row := make([]int, len(b)+1) // row[j]: the distance from what of a was seen to b[:j]
	for j := range row {
		row[j] = j
	}
	for i, s := range a {
		diagonal := row[0]
		row[0] = i + 1
		for j, t := range b {
			cost := diagonal
			if s.Label != t.Label {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

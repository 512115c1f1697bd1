package dataset

// rows pools samples of dim features in place: each group of samples becomes one, the last may be of fewer.
func (p Pool) rows(rows []float32, dim, group int) []float32 {
	if group == 1 {
		return rows
	}
	n := len(rows) / dim
	out := 0
	for at := 0; at < n; at += group {
		size := min(group, n-at)
		dst := rows[out*dim : (out+1)*dim]
		copy(dst, rows[at*dim:(at+1)*dim])
		out++
		if p == First || p == "" {
			continue
		}
		if p == Mean { // divided before it is added up, which can't overflow
			for i := range dst {
				dst[i] /= float32(size)
			}
		}
		for k := 1; k < size; k++ {
			src := rows[(at+k)*dim : (at+k+1)*dim]
			for i, v := range src {
				if p == Mean {
					dst[i] += v / float32(size)
				} else if v > dst[i] {
					dst[i] = v
				}
			}
		}
	}
	return rows[:out*dim]
}

// labels pools classes below n.
func (p Pool) labels(labels []int, group, n int) []int {
	if group == 1 {
		return labels
	}
	if p == First || p == "" {
		return firsts(labels, group)
	}
	out := make([]int, 0, (len(labels)+group-1)/group)
	count := make([]int, n)
	for at := 0; at < len(labels); at += group {
		part := labels[at:min(at+group, len(labels))]
		for _, c := range part {
			count[c]++
		}
		best := part[0]
		for _, c := range part {
			if count[c] > count[best] || count[c] == count[best] && c < best {
				best = c
			}
		}
		for _, c := range part {
			count[c] = 0
		}
		out = append(out, best)
	}
	return out
}

// weights pools weights: the mean, or with First that of the sample that is kept.
func (p Pool) weights(weights []float32, group int) []float32 {
	if group == 1 || weights == nil {
		return weights
	}
	if p == First || p == "" {
		return firsts(weights, group)
	}
	out := make([]float32, 0, (len(weights)+group-1)/group)
	for at := 0; at < len(weights); at += group {
		part := weights[at:min(at+group, len(weights))]
		var sum float32
		for _, w := range part {
			sum += w
		}
		out = append(out, sum/float32(len(part)))
	}
	return out
}

// firsts keeps the first of each group.
func firsts[T any](values []T, group int) []T {
	if group == 1 || values == nil {
		return values
	}
	out := make([]T, 0, (len(values)+group-1)/group)
	for at := 0; at < len(values); at += group {
		out = append(out, values[at])
	}
	return out
}

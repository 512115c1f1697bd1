package wire

// AppendDeltas appends the delta coding of values to dst: the first value, then each value's difference to the one
// before. Differences wrap around, so every sequence has exactly one coding.
func AppendDeltas(dst, values []int64) []int64 {
	var before int64
	for _, v := range values {
		dst = append(dst, v-before)
		before = v
	}
	return dst
}

// AppendValues appends the values that deltas codes to dst: the inverse of AppendDeltas.
func AppendValues(dst, deltas []int64) []int64 {
	var v int64
	for _, d := range deltas {
		v += d
		dst = append(dst, v)
	}
	return dst
}

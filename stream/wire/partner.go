package wire

// Partner returns the features that ego sample i is paired with, of rows, which are the track's features as float32 [M,D]: a row
// of it, or the mixture of two where the rig interpolates. Index[i] must not be -1.
func (t *ExoTrack) Partner(i int, rows []float32) []float32 {
	dim := int(t.GetDim())
	row := rows[int(t.Index[i])*dim:][:dim]
	if len(t.Other) == 0 || t.Other[i] < 0 {
		return row
	}
	other, w := rows[int(t.Other[i])*dim:][:dim], t.Weight[i]
	mixed := make([]float32, dim)
	for k := range mixed {
		mixed[k] = (1-w)*row[k] + w*other[k]
	}
	return mixed
}

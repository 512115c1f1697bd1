package dataset

// Features are a take's features of one view. They are shared: nobody changes them.
type Features struct {
	View    View
	Samples int       // T
	Data    []float32 // [T, D], sample after sample; all finite
	// Times are the instants of the samples in nanoseconds of site time; nil where sample t is t/RateHz after the first.
	Times []int64
	// Weights are 1 where a sample is real and 0 where a lost one was filled in by its predecessor; nil where all are 1.
	// A pooled sample's weight may lie between.
	Weights []float32
}

// Row returns the features of sample t.
func (f *Features) Row(t int) []float32 {
	d := f.View.Dim
	return f.Data[t*d : (t+1)*d : (t+1)*d]
}

// bytes is the memory that the features take.
func (f *Features) bytes() int64 {
	return 4*int64(len(f.Data)) + 8*int64(len(f.Times)) + 4*int64(len(f.Weights))
}

package backbone

import (
	"testing"

	"gocv.io/x/gocv"

	"tandem/runtime/feature"
	"tandem/runtime/ort"
)

// TestTheBuiltInExtractorSees: it opens, is what its record says, and tells pictures apart.
func TestTheBuiltInExtractorSees(t *testing.T) {
	b, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if b.Training == nil || b.Training.Test.Colour < 75 || b.Training.Test.Grey < 75 || b.Contract.Dim != 256 {
		t.Errorf("%d features, recorded as %+v", b.Contract.Dim, b.Training)
	}
	f := features(t, b)
	var d, n float64
	for i, v := range f[:b.Contract.Dim] {
		if v < 0 {
			t.Fatalf("feature %d is %g, expected none below 0", i, v)
		}
		e := float64(v - f[b.Contract.Dim+i])
		d, n = d+e*e, n+float64(v)*float64(v)
	}
	if !(d > 0.01*n) || n == 0 {
		t.Errorf("the features of two pictures differ by %g of %g", d, n)
	}
}

// BenchmarkExtract times a picture of a camera, preprocessing included.
func BenchmarkExtract(b *testing.B) {
	ex, err := Default()
	if err != nil {
		b.Fatal(err)
	}
	e, err := feature.New(ex.ONNX, ex.Contract, ort.Options{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	m := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(30, 80, 130, 0), 180, 320, gocv.MatTypeCV8UC3)
	defer func() { _ = m.Close() }()
	row := make([]float32, e.Dim())
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Extract(m, row); err != nil {
			b.Fatal(err)
		}
	}
}

package feature

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// group is how many bytes the assembly works on at once.
const group = 16

// sumRowsAVX2 writes the weighted sums of n ≥ group bytes of rows ≥ 2 rows.
//
//go:noescape
func sumRowsAVX2(sums *uint16, px *byte, n, stride, rows int, top, middle, bottom uint32)

// columns3AVX2 averages n ≥ 1 columns of three channels. It reads one value more than the last column has.
//
//go:noescape
func columns3AVX2(dst *byte, sums *uint16, cols *colSpan, n int, scale float32)

func init() {
	if cpu.X86.HasAVX2 && unsafe.Sizeof(colSpan{}) == 32 {
		sumRows, columns3 = sumRowsWide, columns3Wide
	}
}

func columns3Wide(dst []byte, sums []uint16, cols []colSpan, scale float32) {
	end := &cols[len(cols)-1]
	_, _ = dst[3*len(cols)-1], sums[3*(end.first+end.n)] // in bounds, or a fault here
	columns3AVX2(&dst[0], &sums[0], &cols[0], len(cols), scale)
}

func sumRowsWide(sums []uint16, px []byte, stride int, r *rowSpan) {
	if len(sums) < group || r.n < 2 {
		sumRowsPlain(sums, px, stride, r)
		return
	}
	_ = px[(r.n-1)*stride : (r.n-1)*stride+len(sums)] // in bounds, or a fault here
	sumRowsAVX2(&sums[0], &px[0], len(sums), stride, r.n, uint32(r.top), uint32(r.middle), uint32(r.bottom))
}

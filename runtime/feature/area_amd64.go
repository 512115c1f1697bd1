package feature

import "golang.org/x/sys/cpu"

// group is how many bytes the assembly works on at once.
const group = 16

// sumRowsAVX2 writes the weighted sums of n ≥ group bytes of rows ≥ 2 rows.
//
//go:noescape
func sumRowsAVX2(sums *uint16, px *byte, n, stride, rows int, top, middle, bottom uint32)

func init() {
	if cpu.X86.HasAVX2 {
		sumRows = sumRowsWide
	}
}

func sumRowsWide(sums []uint16, px []byte, stride int, r *rowSpan) {
	if len(sums) < group || r.n < 2 {
		sumRowsPlain(sums, px, stride, r)
		return
	}
	_ = px[(r.n-1)*stride : (r.n-1)*stride+len(sums)] // in bounds, or a fault here
	sumRowsAVX2(&sums[0], &px[0], len(sums), stride, r.n, uint32(r.top), uint32(r.middle), uint32(r.bottom))
}

package pair

import (
	"encoding/binary"
	"fmt"

	"tandem/stream/wire"
)

// Blend appends (1−w)·a + w·b to dst: the features between two samples, see Match.Other. a, b and the result are vectors
// of fp16 as they travel; the sum is made in float32 and rounded once. Whoever knows features as float32 blends them
// itself.
//
// It is for those who use a pair at once. An archive keeps the samples themselves, with their raw stamps: with other
// offsets the neighbours are others.
func Blend(dst, a, b []byte, w float64) ([]byte, error) {
	if len(a) != len(b) || len(a)%wire.F16Size != 0 {
		return dst, fmt.Errorf("pair: features of %d and %d bytes: expected two vectors of one length", len(a), len(b))
	}
	if !(w >= 0 && w <= 1) {
		return dst, fmt.Errorf("pair: weight is %g, expected 0 to 1", w)
	}
	v := float32(w)
	for i := 0; i < len(a); i += wire.F16Size {
		x := wire.F16ToFloat32(binary.LittleEndian.Uint16(a[i:]))
		y := wire.F16ToFloat32(binary.LittleEndian.Uint16(b[i:]))
		dst = binary.LittleEndian.AppendUint16(dst, wire.F16FromFloat32((1-v)*x+v*y))
	}
	return dst, nil
}

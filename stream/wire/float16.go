package wire

import (
	"encoding/binary"
	"math"
)

// F16Size is the number of bytes of a binary16 number.
const F16Size = 2

// PutF16 writes src as little-endian binary16 into the first F16Size*len(src) bytes of dst, which must be that long, and
// returns how many of the numbers written are not finite. It rounds to nearest, ties to even. Beyond the largest finite
// binary16 (65504; from 65520 on, by the rounding) a number becomes an infinity of its sign; infinities stay; NaNs stay
// NaNs, made quiet, with the upper ten bits of their payload. Decoders refuse a vector that isn't finite, so a sender
// whose count isn't 0 has a sample to skip and count. It does not allocate.
func PutF16(dst []byte, src []float32) (nonFinite int) {
	dst = dst[:F16Size*len(src)]
	for i, f := range src {
		h := F16FromFloat32(f)
		if h&0x7c00 == 0x7c00 {
			nonFinite++
		}
		binary.LittleEndian.PutUint16(dst[F16Size*i:], h)
	}
	return nonFinite
}

// AppendF16 appends src to dst as PutF16 writes it. It allocates only where dst's capacity doesn't do.
func AppendF16(dst []byte, src []float32) (out []byte, nonFinite int) {
	n := len(dst)
	need := n + F16Size*len(src)
	if cap(dst) < need {
		grown := make([]byte, n, max(need, 2*cap(dst)))
		copy(grown, dst)
		dst = grown
	}
	dst = dst[:need]
	return dst, PutF16(dst[n:], src)
}

// F16 reads len(dst) little-endian binary16 numbers from src, which must hold that many. The conversion is exact; NaNs
// come out quiet with their payload. It does not allocate.
func F16(dst []float32, src []byte) {
	src = src[:F16Size*len(dst)]
	for i := range dst {
		dst[i] = F16ToFloat32(binary.LittleEndian.Uint16(src[F16Size*i:]))
	}
}

// F16Finite returns the index of the first number in src, a sequence of little-endian binary16, that is infinite or NaN,
// or -1.
func F16Finite(src []byte) int {
	for i := 0; i+1 < len(src); i += F16Size {
		if src[i+1]&0x7c == 0x7c {
			return i / F16Size
		}
	}
	return -1
}

// F16FromFloat32 returns the binary16 nearest to f; see PutF16.
func F16FromFloat32(f float32) uint16 {
	const (
		infinity  = 0x7f800000            // binary32 +Inf
		overflow  = (127 + 16) << 23      // 65536: everything from here on is an infinity
		minNormal = (127 - 14) << 23      // the smallest normal binary16
		magic     = (127 - 14 + 13) << 23 // a number whose last place is the last place of binary16 subnormals
	)
	u := math.Float32bits(f)
	sign := uint16(u >> 16 & 0x8000)
	u &= 0x7fffffff
	switch {
	case u > infinity:
		return sign | 0x7e00 | uint16(u>>13&0x03ff)
	case u >= overflow:
		return sign | 0x7c00
	case u < minNormal:
		// The adder rounds: the sum's mantissa ends where a subnormal's does.
		sum := math.Float32frombits(u) + math.Float32frombits(magic)
		return sign | uint16(math.Float32bits(sum)-magic)
	default:
		// Move the exponent, add just under half a place, and one more where the kept mantissa is odd: ties go to even,
		// and a carry out of the mantissa is the next exponent, up to the infinity.
		odd := u >> 13 & 1
		return sign | uint16((u-(127-15)<<23+0x0fff+odd)>>13)
	}
}

// F16ToFloat32 returns the value of the binary16 h.
func F16ToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	u := uint32(h&0x7fff) << 13
	switch {
	case u >= 0x1f<<23: // infinity or NaN
		u |= 0xff << 23
		if u&0x007fffff != 0 {
			u |= 0x00400000
		}
	case u >= 1<<23: // normal
		u += (127 - 15) << 23
	default: // subnormal: mantissa * 2^-24, exact in binary32
		u = math.Float32bits(float32(h&0x03ff) * (1.0 / (1 << 24)))
	}
	return math.Float32frombits(sign | u)
}

package wire

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/x448/float16"
)

func TestF16ToFloat32IsExactForEveryNumber(t *testing.T) {
	for i := range 1 << 16 {
		got, want := math.Float32bits(F16ToFloat32(uint16(i))), math.Float32bits(float16.Frombits(uint16(i)).Float32())
		if got != want {
			t.Fatalf("binary16 %#04x: got %#08x, want %#08x", i, got, want)
		}
	}
}

func TestF16FromFloat32RoundsToNearestEven(t *testing.T) {
	check := func(u uint32) {
		f := math.Float32frombits(u)
		if got, want := F16FromFloat32(f), float16.Fromfloat32(f).Bits(); got != want {
			t.Fatalf("binary32 %#08x (%g): got %#04x, want %#04x", u, f, got, want)
		}
	}
	// Every exponent and sign with the mantissas around each rounding boundary of the 13 dropped bits.
	for head := range uint32(1 << 9) {
		for _, kept := range []uint32{0, 1, 2, 3, 0x1fe, 0x1ff, 0x200, 0x201, 0x2aa, 0x2ab, 0x3fc, 0x3fd, 0x3fe, 0x3ff} {
			for _, low := range []uint32{0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff} {
				check(head<<23 | kept<<13 | low)
			}
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500_000 {
		check(rng.Uint32())
	}
	for i := range uint32(1 << 16) { // what is a binary16 stays what it is
		check(math.Float32bits(F16ToFloat32(uint16(i))))
	}
}

func FuzzF16FromFloat32(f *testing.F) {
	for _, u := range []uint32{0, 1, 0x7f800000, 0x7f800001, 0xffc00000, 0x477fefff, 0x477ff000, 0x33000000, 0x33000001} {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, u uint32) {
		x := math.Float32frombits(u)
		if got, want := F16FromFloat32(x), float16.Fromfloat32(x).Bits(); got != want {
			t.Fatalf("binary32 %#08x: got %#04x, want %#04x", u, got, want)
		}
	})
}

func TestF16OverflowSaturatesToInfinityAndIsCounted(t *testing.T) {
	inf := float32(math.Inf(1))
	src := []float32{65504, 65519.99, 65520, -1e30, inf, -inf, float32(math.NaN()), 0, 6e-8}
	want := []uint16{0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0xfc00, 0x7e00, 0, 1}
	buf := make([]byte, F16Size*len(src))
	if n := PutF16(buf, src); n != 5 {
		t.Errorf("counted %d numbers that aren't finite, want 5", n)
	}
	for i, w := range want {
		if got := binary.LittleEndian.Uint16(buf[2*i:]); got != w {
			t.Errorf("%g: got %#04x, want %#04x", src[i], got, w)
		}
	}
	if i := F16Finite(buf); i != 2 {
		t.Errorf("first number that isn't finite: got %d, want 2", i)
	}
	if i := F16Finite(buf[:4]); i != -1 {
		t.Errorf("finite numbers: got %d, want -1", i)
	}
}

func TestF16DoesNotAllocate(t *testing.T) {
	src := make([]float32, 512)
	buf := make([]byte, 0, F16Size*len(src))
	back := make([]float32, len(src))
	for i := range src {
		src[i] = float32(i) / 7
	}
	allocs := testing.AllocsPerRun(100, func() {
		out, _ := AppendF16(buf, src)
		PutF16(out, src)
		F16(back, out)
	})
	if allocs != 0 {
		t.Errorf("%g allocations a vector, want 0", allocs)
	}
	for i, f := range src {
		if math.Abs(float64(back[i]-f)) > math.Abs(float64(f))/2048 {
			t.Errorf("number %d: got %g, want %g", i, back[i], f)
		}
	}
}

func TestAppendF16GrowsAndKeepsWhatIsThere(t *testing.T) {
	out, _ := AppendF16([]byte{1, 2, 3}, []float32{1})
	if want := []byte{1, 2, 3, 0x00, 0x3c}; string(out) != string(want) {
		t.Errorf("got % x, want % x", out, want)
	}
}

func BenchmarkPutF16(b *testing.B) {
	src := make([]float32, 1024)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range src {
		src[i] = float32(rng.NormFloat64())
	}
	dst := make([]byte, F16Size*len(src))
	b.SetBytes(int64(4 * len(src)))
	b.ReportAllocs()
	for b.Loop() {
		PutF16(dst, src)
	}
}

func BenchmarkF16(b *testing.B) {
	dst := make([]float32, 1024)
	src := make([]byte, F16Size*len(dst))
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range dst {
		binary.LittleEndian.PutUint16(src[2*i:], F16FromFloat32(float32(rng.NormFloat64())))
	}
	b.SetBytes(int64(4 * len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		F16(dst, src)
	}
}

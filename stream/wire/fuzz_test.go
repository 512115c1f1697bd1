package wire

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
)

// fuzzDecode checks that whatever decodes is what the rules allow, encodes again, and means the same.
func fuzzDecode[M Message](f *testing.F, seed M, decode func([]byte) (M, error)) {
	data, err := Encode(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte{})
	f.Add(append(bytes.Clone(data), data...))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("the error doesn't wrap ErrInvalid: %v", err)
			}
			return
		}
		again, err := Encode(m)
		if err != nil {
			t.Fatalf("decoded, but can't be encoded: %v", err)
		}
		if back, err := decode(again); err != nil || !proto.Equal(back, m) {
			t.Fatalf("after a round trip: %v, %v, want %v", back, err, m)
		}
	})
}

func FuzzDecodeSampleBatch(f *testing.F)  { fuzzDecode(f, sampleBatch(), DecodeSampleBatch) }
func FuzzDecodePairBatch(f *testing.F)    { fuzzDecode(f, realigned(), DecodePairBatch) }
func FuzzDecodeSegmentEvent(f *testing.F) { fuzzDecode(f, segmentEvent(), DecodeSegmentEvent) }
func FuzzDecodeStatus(f *testing.F)       { fuzzDecode(f, status(), DecodeStatus) }
func FuzzDecodeAssignment(f *testing.F)   { fuzzDecode(f, assignment(), DecodeAssignment) }
func FuzzDecodeReleaseInfo(f *testing.F)  { fuzzDecode(f, releaseInfo(), DecodeReleaseInfo) }

func FuzzToken(f *testing.F) {
	f.Add("My Video (1).mp4")
	f.Fuzz(func(t *testing.T, text string) {
		if err := CheckToken("token", Token(text)); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	packed, err := Compress(bytes.Repeat([]byte("label\n"), 100))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		out, err := Decompress(data, limit)
		if err == nil && len(out) > limit || err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
	})
}

package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Compress returns src compressed by zstd. It pays for what repeats: label maps, metadata, weights, feature vectors after a
// ReLU in dimension-major order. Dense fp16 features lose less than a tenth and are sent as they are.
func Compress(src []byte) ([]byte, error) {
	// A single thread: several would make the bytes depend on the machine.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	out := enc.EncodeAll(src, make([]byte, 0, len(src)/2))
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out, nil
}

// Decompress returns what Compress was given. Data that is damaged, or larger than limit bytes once decompressed, is an
// error that wraps ErrInvalid; no more than about limit bytes of memory are used to find out.
func Decompress(src []byte, limit int) ([]byte, error) {
	dec, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(uint64(max(limit, 1<<20))), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("%w: decompress: %w", ErrInvalid, err)
	}
	defer dec.Close()
	out, err := io.ReadAll(io.LimitReader(dec, int64(limit)+1))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) || len(out) > limit:
		return nil, fmt.Errorf("%w: decompress: more than %d bytes", ErrInvalid, limit)
	case err != nil:
		return nil, fmt.Errorf("%w: decompress %d bytes: %w", ErrInvalid, len(src), err)
	}
	return out, nil
}

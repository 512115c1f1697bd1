// Package frame holds pictures on their way from a camera to a network: a Frame with what is known of when it was
// taken, a Pool that owns the pixels, a Ring between the goroutine that reads and the one that uses, and a Sampler that
// thins a camera's frames to the rate of a model. Nothing here allocates for a frame once it is warm.
package frame

import (
	"time"

	"gocv.io/x/gocv"
)

// RawKind says where a frame's raw stamp comes from, and with that what zero it counts from.
type RawKind uint8

const (
	// Arrival is the host clock when the frame was handed over, on site time. The fallback of live sources.
	Arrival RawKind = iota
	// Driver is the container's or the driver's own stamp (CAP_PROP_POS_MSEC). It counts from the start of a
	// recording, or from the zero of the driver's clock.
	Driver
	// Sidecar is a row of NAME.stamps.csv, in nanoseconds since the Unix epoch.
	Sidecar
	// Nominal means that no clock saw this frame: the stamp is its position divided by the source's frame rate.
	Nominal
)

// String returns the name used in logs and JSON: arrival, driver, sidecar or nominal.
func (k RawKind) String() string {
	switch k {
	case Driver:
		return "driver"
	case Sidecar:
		return "sidecar"
	case Nominal:
		return "nominal"
	default:
		return "arrival"
	}
}

// MarshalText writes the name of k.
func (k RawKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Frame is one picture and what is known of when it was taken. It belongs to a Pool: whoever was handed a frame may
// read it until giving it back, and keeps no part of it after that.
type Frame struct {
	// Mat holds the picture, 8 bits a channel: one channel (grey) or three (BGR). It is owned by the pool; do not
	// close it.
	Mat gocv.Mat
	// Bare is true where nobody wanted the picture: Mat holds none of this frame.
	Bare bool
	// Width and Height are the picture's size in pixels.
	Width, Height int

	// Index is the frame's position in its source, from 0. Frames that were dropped leave a gap.
	Index int64
	// Raw is the stamp as it was found, in nanoseconds from the zero of its RawKind. It is never altered.
	Raw     int64
	RawKind RawKind
	// Arrival is the host clock when the frame was read, in nanoseconds since the Unix epoch.
	Arrival int64
	// Time is the capture time on site time, in nanoseconds since the Unix epoch: Raw plus what the source's
	// configuration says of it.
	Time int64
	// Bound is the half-width of the interval around Time that holds the capture as far as the stamp goes, in nanoseconds:
	// what the clock and the configured latency are off by is not in it. 0 where nothing is known of the stamp's noise.
	Bound int64

	out  bool // handed out by the pool
	pool *Pool
}

// When returns Time as a time.Time in UTC.
func (f *Frame) When() time.Time { return time.Unix(0, f.Time).UTC() }

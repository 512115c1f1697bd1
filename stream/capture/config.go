package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"tandem/stream/frame"
)

// Pace says when the frames of a recording are handed over. Live sources pace themselves.
type Pace uint8

const (
	// AsFast hands frames over as fast as they are decoded and taken.
	AsFast Pace = iota
	// ByStamps hands each frame over as long after the first as its stamp says, like a camera would. A consumer that is
	// late gets the frames that are due at once, until it has caught up.
	ByStamps
)

// Overflow says what happens to frames that nobody has taken when the ring is full.
type Overflow uint8

const (
	// Auto is Block for recordings and DropOldest for live sources.
	Auto Overflow = iota
	// Block makes the source wait: nothing is lost. On a live source the delay then grows inside the driver or the
	// network, and what they drop is not counted here.
	Block
	// DropOldest lets the oldest frame go and counts it. On a recording it imitates a camera.
	DropOldest
)

// Defaults of a Config's zero values.
const (
	DefaultRing        = 4
	DefaultHold        = 4
	DefaultOpenTimeout = 10 * time.Second
	DefaultReadTimeout = 10 * time.Second
	DefaultMinBackoff  = 500 * time.Millisecond
	DefaultMaxBackoff  = 30 * time.Second
)

// Config describes a source. Only Source is required.
type Config struct {
	// Source is a video file; a directory of pictures, or a pattern such as dir/%06d.png; a URL (rtsp://, http:// and
	// what else FFmpeg fetches); a camera as /dev/video0 or v4l2:0; or gst: and a GStreamer pipeline with an appsink.
	Source string

	// Start is the site time of a recording's first frame, in nanoseconds since the Unix epoch. With 0, the sidecar's
	// stamps are site time themselves; without a sidecar, the first frame is taken to be of now.
	Start int64
	// StampsFile is the sidecar of a recording. Empty means NAME.stamps.csv beside the recording, if there is one.
	StampsFile string
	// NoStampsFile leaves a sidecar that is there alone: the times are the recording's own.
	NoStampsFile bool
	// FPS is the frame rate of pictures, and of video without stamps of its own; from a V4L2 camera it is asked for.
	// Other sources ignore it.
	FPS float64
	// Width and Height are asked for from a V4L2 camera; 0 leaves the driver's choice. Other sources ignore them.
	Width, Height int
	// Latency is how long before its stamp a frame was taken. It is subtracted where a clock made the stamp: on live
	// sources, and on sidecars without Start.
	Latency time.Duration

	// Wants tells of each frame of a recording, by its Time and in order, whether its picture is needed. Others are handed over bare:
	// of a video file that spares bringing them from the codec's colours to BGR, which is a third of the work. A frame that was
	// asked about may not come after all. It is called by the capture's goroutine. Nil wants all; live sources don't ask.
	Wants func(t int64) bool

	Pace Pace
	// Loop starts a recording again at its end, with Time going on one frame period later. Frame.Raw starts again,
	// Frame.Index goes on.
	Loop bool

	// Ring is how many frames may wait for Next; 0 is DefaultRing.
	Ring int
	// Hold is how many frames a consumer may have at once before releasing one; 0 is DefaultHold.
	Hold     int
	Overflow Overflow

	// OpenTimeout and ReadTimeout bound the opening of a URL and the wait for each of its frames; 0 is the default.
	// Close may take as long as ReadTimeout.
	OpenTimeout, ReadTimeout time.Duration
	Reconnect                Reconnect

	// Clock is site time; nil is the host's clock.
	Clock Clock
	// Stamper makes the times of a live source's frames that nothing but their arrival tells; nil takes the arrival.
	Stamper Stamper
	// Log gets what happens to the source: lost, connected again, another size, cut off. Nil is slog.Default().
	Log *slog.Logger
}

// Reconnect is what happens when a live source ends or can't be opened. The wait before attempt k is drawn from the
// upper half of [0, Min·2^(k−1)], bounded by Max, so that cameras which went down together don't come back together.
// A frame that arrives starts the count again.
type Reconnect struct {
	// Min and Max bound the wait; 0 is DefaultMinBackoff and DefaultMaxBackoff.
	Min, Max time.Duration
	// Attempts is how many attempts in a row may fail before Next returns ErrLost: 0 is no limit, negative is no attempt.
	Attempts int
	// AtOpen makes Open try again too, instead of failing at once: for machines that start together with their cameras.
	AtOpen bool
}

// withDefaults fills zero values in and checks the rest.
func (c Config) withDefaults() (Config, error) {
	setDefault(&c.Ring, DefaultRing)
	setDefault(&c.Hold, DefaultHold)
	setDefault(&c.OpenTimeout, DefaultOpenTimeout)
	setDefault(&c.ReadTimeout, DefaultReadTimeout)
	setDefault(&c.Reconnect.Min, DefaultMinBackoff)
	setDefault(&c.Reconnect.Max, max(DefaultMaxBackoff, c.Reconnect.Min))
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = newHostClock()
	}
	const most = math.MaxInt32 * time.Millisecond // OpenCV takes milliseconds as an int
	switch {
	case c.Ring < 1:
		return c, fmt.Errorf("ring of %d frames: want at least 1", c.Ring)
	case c.Hold < 1:
		return c, fmt.Errorf("hold of %d frames: want at least 1", c.Hold)
	case c.Overflow > DropOldest:
		return c, fmt.Errorf("overflow rule %d: want Auto, Block or DropOldest", c.Overflow)
	case c.Pace > ByStamps:
		return c, fmt.Errorf("pace %d: want AsFast or ByStamps", c.Pace)
	case !(c.FPS >= 0 && c.FPS <= maxFPS):
		return c, fmt.Errorf("fps %g: want more than 0 and at most %d", c.FPS, maxFPS)
	case c.Width < 0 || c.Height < 0:
		return c, fmt.Errorf("size %dx%d: want positive numbers", c.Width, c.Height)
	case c.OpenTimeout < time.Millisecond || c.OpenTimeout > most:
		return c, fmt.Errorf("open timeout %v: want 1ms to %v", c.OpenTimeout, most)
	case c.ReadTimeout < time.Millisecond || c.ReadTimeout > most:
		return c, fmt.Errorf("read timeout %v: want 1ms to %v", c.ReadTimeout, most)
	case c.Reconnect.Min < 0 || c.Reconnect.Max < c.Reconnect.Min:
		return c, fmt.Errorf("reconnect waits from %v to %v: want 0 ≤ min ≤ max", c.Reconnect.Min, c.Reconnect.Max)
	}
	return c, nil
}

// forKind checks what only some sources can do.
func (c Config) forKind(kind Kind) error {
	switch {
	case kind.Live() && c.Start != 0:
		return errors.New("start is set: only recordings have one; live frames are stamped as they come")
	case kind.Live() && c.StampsFile != "":
		return errors.New("a stamps file is set: only recordings have one")
	case kind.Live() && c.Loop:
		return errors.New("loop is set: only recordings can start again")
	case kind.Live() && c.Pace == ByStamps:
		return errors.New("pace is by stamps: only recordings are paced, live sources pace themselves")
	}
	return nil
}

func (c Config) overflow(live bool) frame.Overflow {
	if c.Overflow == DropOldest || c.Overflow == Auto && live {
		return frame.DropOldest
	}
	return frame.Block
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

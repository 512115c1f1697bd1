package capture

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"tandem/stream/frame"
)

// errBack says that a frame's stamp is before the last one's.
var errBack = errors.New("stamp goes back")

// rawStamp is what a backend says of a frame's time, and how many frames before it could not be decoded.
type rawStamp struct {
	ns   int64
	kind frame.RawKind
	lost int64
}

// timeline turns raw stamps into site time.
type timeline struct {
	live    bool
	rows    []int64 // the sidecar, nil without one
	sidecar string
	start   int64 // site time of a recording's first frame, 0 for unset
	latency int64
	fps     float64 // nominal, 0 for unknown

	anchored bool  // base is known for this pass or connection
	base     int64 // Time = raw + base
	passes   int64
	lastRaw  int64
	lastTime int64
	period   int64 // between the last two frames
	clocked  bool  // the recording has stamps of its own

	stamper Stamper // of live sources, may be nil

	hostClocks func() (monotonic, wall int64)
}

// next begins another pass over a recording or another connection to a live source.
func (t *timeline) next() {
	t.anchored = false
	t.passes++
	if t.stamper != nil {
		t.stamper.Restart()
	}
}

// place fills f's stamps in: it is the frame at position pos of this pass, the backend says raw of it, and the clock
// reads now. errBack: the frame can't be placed. Any other error ends the capture.
func (t *timeline) place(f *frame.Frame, pos int64, raw rawStamp, now int64) error {
	raw, err := t.raw(pos, raw, now)
	if err != nil {
		return err
	}
	f.Raw, f.RawKind, f.Arrival = raw.ns, raw.kind, now
	first := !t.anchored
	if first {
		t.base = t.anchor(raw, now)
		t.anchored = true
	} else if raw.ns < t.lastRaw {
		return errBack
	}
	f.Time, f.Bound = raw.ns+t.base, 0
	if t.stamper != nil && t.live && raw.kind == frame.Arrival {
		at, bound := t.stamper.Stamp(raw.ns)
		f.Time, f.Bound = at+t.base, bound
	}
	if f.Time > t.lastTime && !first {
		t.period = f.Time - t.lastTime
	}
	t.lastRaw, t.lastTime = raw.ns, f.Time
	return nil
}

// raw chooses the stamp that counts.
func (t *timeline) raw(pos int64, raw rawStamp, now int64) (rawStamp, error) {
	switch {
	case t.rows != nil && pos >= int64(len(t.rows)):
		return raw, fmt.Errorf("%w: %s:%d: ends after %d rows, but the recording has more frames; want one row for each",
			ErrStamps, t.sidecar, len(t.rows)+2, len(t.rows))
	case t.rows != nil:
		return rawStamp{ns: t.rows[pos], kind: frame.Sidecar}, nil
	case raw.kind == frame.Arrival:
		return rawStamp{ns: now, kind: frame.Arrival}, nil
	case raw.kind == frame.Driver && !t.live && raw.ns == 0 && pos > 0:
		return t.unstamped(pos)
	}
	t.clocked = t.clocked || raw.ns != 0
	return raw, nil
}

// unstamped makes up for a recording's frame whose POS_MSEC is 0. All are in a bare stream of pictures, such as .h264.
// In any file with a codec that reorders or decodes in threads the last frames are: what OpenCV gets from the decoder
// after the last packet has lost its stamp (opencv/opencv#22141).
func (t *timeline) unstamped(pos int64) (rawStamp, error) {
	switch {
	case t.clocked && t.period > 0:
		return rawStamp{ns: t.lastRaw + t.period, kind: frame.Nominal}, nil
	case t.fps == 0:
		return rawStamp{}, errors.New("the recording carries neither times nor a frame rate; set its FPS or give it a stamps file")
	case t.clocked:
		return rawStamp{ns: t.lastRaw + nominal(1, t.fps), kind: frame.Nominal}, nil
	default:
		return rawStamp{ns: nominal(pos, t.fps), kind: frame.Nominal}, nil
	}
}

// anchor returns what leads from the raw stamps of this pass or connection to site time.
func (t *timeline) anchor(raw rawStamp, now int64) int64 {
	switch {
	case t.live && raw.kind == frame.Driver:
		return t.driverBase(raw.ns, now) - t.latency
	case t.live:
		return -t.latency
	case t.passes > 0:
		step := t.period
		if step == 0 {
			step = nominal(1, max(t.fps, 1))
		}
		return t.lastTime + step - raw.ns
	case t.start != 0:
		return t.start - raw.ns
	case t.rows != nil:
		return -t.latency
	default:
		return now - raw.ns
	}
}

// driverBase finds the clock that a driver stamps with, monotonic in V4L2, the wall clock in some drivers, by which of
// the two the stamp is near to. With neither, the frame is taken to have been stamped now.
func (t *timeline) driverBase(raw, now int64) int64 {
	const near = 10e9
	monotonic, wall := t.hostClocks()
	switch {
	case math.Abs(float64(monotonic)-float64(raw)) < near:
		return now - monotonic
	case math.Abs(float64(wall)-float64(raw)) < near:
		return now - wall
	default:
		return now - raw
	}
}

func hostClocks() (monotonic, wall int64) {
	var m, w unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &m) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &w) != nil {
		return math.MinInt64, math.MinInt64 // near nothing
	}
	return m.Nano(), w.Nano()
}

// nominal returns when frame number pos is due at fps, in nanoseconds from frame 0.
func nominal(pos int64, fps float64) int64 { return int64(math.Round(float64(pos) * 1e9 / fps)) }

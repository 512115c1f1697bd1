package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Limits of a configuration. They keep a typing error from filling a disk.
const (
	maxLength = 6 * time.Hour
	maxFPS    = 240
	minSide   = 32
	maxSide   = 4096
)

// DefaultStart is the site time of the first take when a [Config] names none.
var DefaultStart = time.Date(2026, 3, 2, 7, 0, 0, 0, time.UTC)

// Config describes the takes of one simulated cell. The zero value is a usable default.
type Config struct {
	Seed uint64

	// Length of a take; 0 is one minute, or the whole process where Processes says what is done.
	Length time.Duration

	// FPS is the rate of the timeline and of every camera that names none; 0 is 30.
	FPS float64

	// Workers is the size of the crew, 0 is four. Take i is worked by worker i modulo the crew.
	Workers int

	// Start is the site time at which take 0 begins; zero is DefaultStart. Takes follow each other.
	Start time.Time

	// Cameras that record, nil is all three with DefaultCameras' settings.
	Cameras []Camera

	// Processes drive the worker by label sequences instead of the built-in process: take i follows process i modulo their
	// number. A label gets its motion and parts by its place in the order of first appearance over all of them.
	Processes []*Process
}

// Camera is one camera of the cell and the clock of the device that it hangs on.
type Camera struct {
	ID            string  // "exo1", "exo2" or "ego"
	Width, Height int     // pixels, both even; 0 is 320×180 for exo cameras and 320×240 for ego
	FPS           float64 // capture rate, 0 is the rate of the timeline
	Genlock       bool    // captures at the ticks of the timeline instead of at a random phase
	Clock
}

// Clock is what the device's stamps are worth. The zero value stamps the instant of capture. A frame captured at t
// gets the stamp t + Latency + Offset + SkewPPM/1e6·(t − start of take) + noise.
type Clock struct {
	Latency time.Duration // from capture to stamp
	Offset  time.Duration // of the device's clock from site time
	SkewPPM float64       // by which the device's clock runs fast
	Jitter  time.Duration // standard deviation of the stamps' noise
	Drop    float64       // probability that a frame is lost
	Double  float64       // probability that a frame is delivered twice
}

// cameraIDs in the order in which cameras are listed and rendered.
var cameraIDs = []string{"exo1", "exo2", "ego"}

// CameraIDs returns the names of the cell's cameras, the fixed ones first.
func CameraIDs() []string { return slices.Clone(cameraIDs) }

// DefaultCameras returns cameras with default settings: not genlocked, stamps with 1 ms of jitter and no other error.
// No ids are all cameras. Unknown ids are kept, for Config's validation to name.
func DefaultCameras(ids ...string) []Camera {
	if len(ids) == 0 {
		ids = cameraIDs
	}
	cams := make([]Camera, 0, len(ids))
	for _, id := range ids {
		cams = append(cams, Camera{ID: id, Clock: Clock{Jitter: time.Millisecond}})
	}
	return cams
}

// withDefaults returns a copy with defaults in place of zeros.
func (c Config) withDefaults() Config {
	if c.FPS == 0 {
		c.FPS = 30
	}
	if c.Workers == 0 {
		c.Workers = 4
	}
	if c.Start.IsZero() {
		c.Start = DefaultStart
	}
	if c.Cameras == nil {
		c.Cameras = DefaultCameras()
	}
	if c.Length == 0 && len(c.Processes) == 0 {
		c.Length = time.Minute
	}
	c.Cameras = slices.Clone(c.Cameras)
	for i := range c.Cameras {
		cam := &c.Cameras[i]
		if cam.FPS == 0 {
			cam.FPS = c.FPS
		}
		w, h := 320, 180
		if cam.ID == "ego" {
			h = 240
		}
		if cam.Width == 0 && cam.Height == 0 {
			cam.Width, cam.Height = w, h
		}
	}
	return c
}

// Validate returns an error that names the first field which can't be used. Zero values that have a default are fine.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Length < 0 || c.Length > maxLength:
		return fmt.Errorf("sim config: length %v: want 0 to %v", c.Length, maxLength)
	case !(c.FPS >= 1 && c.FPS <= maxFPS):
		return fmt.Errorf("sim config: fps %g: want 1 to %d", c.FPS, maxFPS)
	case c.Length > 0 && c.Length.Seconds()*c.FPS < 1:
		return fmt.Errorf("sim config: length %v: want at least one frame at %g fps", c.Length, c.FPS)
	case c.Workers < 1 || c.Workers > 1000:
		return fmt.Errorf("sim config: workers %d: want 1 to 1000", c.Workers)
	case c.Start.Before(time.Unix(0, 0)) || c.Start.Year() > 2200:
		return fmt.Errorf("sim config: start %v: want a year from 1970 to 2200", c.Start)
	case len(c.Cameras) == 0:
		return fmt.Errorf("sim config: cameras: want at least one of %s", strings.Join(cameraIDs, ", "))
	}
	for i, p := range c.Processes {
		if p == nil || len(p.Steps) == 0 {
			return fmt.Errorf("sim config: process %d: has no steps", i)
		}
	}
	seen := map[string]bool{}
	for _, cam := range c.Cameras {
		if err := cam.validate(); err != nil {
			return fmt.Errorf("sim config: camera %q: %w", cam.ID, err)
		}
		if seen[cam.ID] {
			return fmt.Errorf("sim config: camera %q: named twice", cam.ID)
		}
		seen[cam.ID] = true
	}
	if _, err := newVocabulary(c.Processes); err != nil {
		return fmt.Errorf("sim config: %w", err)
	}
	return nil
}

func (c *Camera) validate() error {
	if !slices.Contains(cameraIDs, c.ID) {
		return fmt.Errorf("unknown camera, want one of %s", strings.Join(cameraIDs, ", "))
	}
	for _, side := range []struct {
		name string
		v    int
	}{{"width", c.Width}, {"height", c.Height}} {
		// mpeg4 holds colour at half the resolution, so odd sizes would lose a row.
		if side.v < minSide || side.v > maxSide || side.v%2 != 0 {
			return fmt.Errorf("%s %d: want an even number from %d to %d", side.name, side.v, minSide, maxSide)
		}
	}
	switch {
	case !(c.FPS >= 1 && c.FPS <= maxFPS):
		return fmt.Errorf("fps %g: want 1 to %d", c.FPS, maxFPS)
	case c.Latency < 0 || c.Latency > time.Minute:
		return fmt.Errorf("latency %v: want 0 to 1m", c.Latency)
	case c.Offset < -maxLength || c.Offset > maxLength:
		return fmt.Errorf("offset %v: want at most 6h", c.Offset)
	case !(math.Abs(c.SkewPPM) <= 10000):
		return fmt.Errorf("skew %g ppm: want -10000 to 10000", c.SkewPPM)
	case c.Jitter < 0 || c.Jitter > time.Second:
		return fmt.Errorf("jitter %v: want 0 to 1s", c.Jitter)
	case !(c.Drop >= 0 && c.Drop < 1):
		return fmt.Errorf("drop %g: want a probability of at least 0 and under 1", c.Drop)
	case !(c.Double >= 0 && c.Double <= 1):
		return fmt.Errorf("double %g: want a probability from 0 to 1", c.Double)
	}
	return nil
}

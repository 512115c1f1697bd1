package realign

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"tandem/stream/wire"
	"tandem/trainer/pairfile"
)

// Offset says by how much the stamps of a camera are late: a positive one means that the camera shows things later, on
// its own time stamps, than the rig does. It holds for the stamps as they are in the archive, so it takes the place of an
// offset that was applied before.
type Offset struct {
	Device   string  `json:"device"` // the rig; all if empty
	Take     string  `json:"take"`   // of the rig; all if empty
	Camera   string  `json:"camera"` // the exo device
	OffsetMS float64 `json:"offset_ms"`
	DriftPPM float64 `json:"drift_ppm"` // by how much the offset grows; it is OffsetMS in the middle of the take
	ErrorMS  float64 `json:"error_ms"`  // the true offset is within ± this
}

// Limits of what an offset may be.
const (
	maxOffsetMS = 24 * 3600 * 1e3
	maxDriftPPM = 1e4
)

func (o Offset) String() string {
	var parts []string
	for _, p := range []string{o.Device, o.Take, o.Camera} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "/")
}

// Validate says what is wrong with the offset.
func (o Offset) Validate() error {
	var err error
	switch {
	case o.Camera == "":
		return errors.New("camera is missing: name the exo device")
	case o.Take != "" && o.Device == "":
		return fmt.Errorf("take %s without a device: name the rig, too", o.Take)
	case !(math.Abs(o.OffsetMS) <= maxOffsetMS):
		return fmt.Errorf("%s: an offset of %g ms, expected at most a day", o, o.OffsetMS)
	case !(math.Abs(o.DriftPPM) <= maxDriftPPM):
		return fmt.Errorf("%s: a drift of %g ppm, expected at most %g", o, o.DriftPPM, float64(maxDriftPPM))
	case !(o.ErrorMS >= 0 && o.ErrorMS <= maxOffsetMS):
		return fmt.Errorf("%s: an error of %g ms, expected 0 or more", o, o.ErrorMS)
	case o.Device != "":
		err = wire.CheckToken("device", o.Device)
	}
	if err == nil && o.Take != "" {
		err = wire.CheckToken("take", o.Take)
	}
	if err == nil {
		err = wire.CheckToken("camera", o.Camera)
	}
	return err
}

// ParseOffset reads [DEVICE/[TAKE/]]CAMERA=MS[±ERROR], both in milliseconds; "+-" may stand for "±".
func ParseOffset(s string) (Offset, error) {
	const form = "expected [DEVICE/[TAKE/]]CAMERA=MS or =MS±ERROR, as in rig-1/exo1=120±8"
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return Offset{}, fmt.Errorf("offset %q: %s", s, form)
	}
	var o Offset
	switch parts := strings.Split(name, "/"); len(parts) {
	case 1:
		o.Camera = parts[0]
	case 2:
		o.Device, o.Camera = parts[0], parts[1]
	case 3:
		o.Device, o.Take, o.Camera = parts[0], parts[1], parts[2]
	default:
		return Offset{}, fmt.Errorf("offset %q: %s", s, form)
	}
	value, spread, given := strings.Cut(strings.ReplaceAll(value, "+-", "±"), "±")
	var err error
	if o.OffsetMS, err = strconv.ParseFloat(value, 64); err != nil {
		return Offset{}, fmt.Errorf("offset %q: %q is no number of milliseconds; %s", s, value, form)
	}
	if given {
		if o.ErrorMS, err = strconv.ParseFloat(spread, 64); err != nil {
			return Offset{}, fmt.Errorf("offset %q: %q is no number of milliseconds; %s", s, spread, form)
		}
	}
	if err := o.Validate(); err != nil {
		return Offset{}, fmt.Errorf("offset %q: %w", s, err)
	}
	return o, nil
}

// ReadOffsets reads a JSON file of offsets: a list of Offset, or an object with such a list as "offsets" or as "cameras",
// as 'tandem sync check --json' and 'tandem sync redo --json' print it. Elements with a "verdict" other than shifted need nothing or
// say nothing, and are left out; at least one has to remain.
func ReadOffsets(r io.Reader) ([]Offset, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxOffsetsFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxOffsetsFile {
		return nil, fmt.Errorf("more than %d bytes, which is no list of offsets", maxOffsetsFile)
	}
	type element struct {
		Offset
		Name    string `json:"name"`
		Verdict string `json:"verdict"`
	}
	var list []*element
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		var file struct{ Offsets, Cameras []*element }
		err = json.Unmarshal(data, &file)
		list = slices.Concat(file.Offsets, file.Cameras)
	} else {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("not the JSON of offsets: %w", err)
	}
	var offsets []Offset
	for i, e := range list {
		if e == nil {
			return nil, fmt.Errorf("element %d is null, expected an offset", i+1)
		}
		if e.Verdict != "" && e.Verdict != "shifted" {
			continue
		}
		e.Camera = cmp.Or(e.Camera, e.Name)
		if err := e.Validate(); err != nil {
			return nil, fmt.Errorf("element %d: %w", i+1, err)
		}
		offsets = append(offsets, e.Offset)
	}
	if len(offsets) == 0 {
		return nil, errors.New("no offset in it, and no camera that is shifted: expected a list of {\"device\", \"take\", \"camera\", \"offset_ms\", \"drift_ppm\", \"error_ms\"}")
	}
	return offsets, nil
}

const maxOffsetsFile = 16 << 20

// offsets finds the offset of a take's camera: that of the take before that of the device before that of all.
type offsets struct {
	list map[Offset]Offset // by device, take and camera
	used map[Offset]bool
}

func newOffsets(list []Offset) (*offsets, error) {
	x := &offsets{list: map[Offset]Offset{}, used: map[Offset]bool{}}
	for _, o := range list {
		if err := o.Validate(); err != nil {
			return nil, err
		}
		key := Offset{Device: o.Device, Take: o.Take, Camera: o.Camera}
		if old, twice := x.list[key]; twice && old != o {
			return nil, fmt.Errorf("two offsets for %s: %g ms and %g ms; give one", o, old.OffsetMS, o.OffsetMS)
		}
		x.list[key] = o
	}
	return x, nil
}

func (x *offsets) find(t pairfile.Take, camera string) (Offset, bool) {
	found, ok := Offset{}, false
	for _, key := range []Offset{{Camera: camera}, {Device: t.Device, Camera: camera}, {Device: t.Device, Take: t.Name, Camera: camera}} {
		if o, there := x.list[key]; there {
			x.used[key] = true
			found, ok = o, true
		}
	}
	return found, ok
}

// unused returns an offset that no take's camera has asked for.
func (x *offsets) unused() (Offset, bool) {
	least, found := Offset{}, false
	for key, o := range x.list {
		if !x.used[key] && (!found || o.String() < least.String()) {
			least, found = o, true
		}
	}
	return least, found
}

package agent

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// maxCameras bounds the cameras of one agent.
const maxCameras = 64

// inCameras is the field of the i-th of several cameras.
func inCameras(i int) string { return fmt.Sprintf("cameras[%d]", i) }

// Devices returns the configuration of each camera, as if it were an agent's only one.
func (c *Config) Devices() []Config {
	if len(c.Cameras) == 0 {
		return []Config{*c}
	}
	list := make([]Config, len(c.Cameras))
	for i, d := range c.Cameras {
		x := *c
		x.Cameras = nil
		x.Device, x.Cell, x.Role, x.Camera, x.Pair = d.Device, d.Cell, d.Role, d.Camera, d.Pair
		list[i] = x
	}
	return list
}

// each checks something of every camera. Errors about one of several name its field, and where it stands in the file.
func (c *Config) each(check func(*Config) error) error {
	if len(c.Cameras) == 0 {
		return check(c)
	}
	devices := c.Devices()
	for i := range devices {
		err := check(&devices[i])
		if err == nil {
			continue
		}
		var known *fieldError
		if errors.As(err, &known) {
			return err // of what all cameras have in common
		}
		text := inCameras(i) + "." + err.Error()
		field := text
		if end := strings.IndexAny(text, " :"); end > 0 {
			field = text[:end]
		}
		return &fieldError{field: field, error: errors.New(text)}
	}
	return nil
}

// validateCameras checks the list as such.
func (c *Config) validateCameras() error {
	if len(c.Cameras) == 0 {
		return nil
	}
	const each = "it in each of cameras"
	switch {
	case len(c.Cameras) > maxCameras:
		return bad("cameras", fmt.Sprintf("a list of %d", len(c.Cameras)), fmt.Sprintf("at most %d; start another agent for the others", maxCameras))
	case c.Device != "":
		return bad("device", "set beside cameras", each)
	case !reflect.ValueOf(c.Camera).IsZero():
		return bad("camera", "set beside cameras", each)
	case !reflect.ValueOf(c.Pair).IsZero():
		return bad("pair", "set beside cameras", each)
	}
	names := map[string]int{}
	for i, d := range c.Cameras {
		if first, twice := names[d.Device]; twice {
			field := inCameras(i) + ".device"
			return &fieldError{field: field, error: bad(field, fmt.Sprintf("%q", d.Device), fmt.Sprintf("a name of its own: cameras[%d] has it", first))}
		}
		names[d.Device] = i
	}
	return nil
}

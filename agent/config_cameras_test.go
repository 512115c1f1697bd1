package agent

import (
	"os"
	"strings"
	"testing"
	"time"
)

// severalConfig is a configuration of four cameras with as little as can be said.
var severalConfig = []string{
	"site: plant",
	"cell: cell-1",
	"role: exo",
	"store: data",
	"nats: {urls: ['nats://127.0.0.1:4222']}",
}

const someCameras = `cameras:
  - device: exo1
    camera: {source: video.mp4}
  - device: exo2
    camera:
      source: /dev/video0
      latency: 40ms
  - device: exo3
    cell: cell-2
    camera: {source: 'rtsp://camera'}
  - device: rig-1
    role: ego
    camera: {source: a.mp4, pace: fast}
    pair: {exo: [exo1, exo2], wait: 2s}
`

func TestSeveralCameras(t *testing.T) {
	c, err := ParseConfig([]byte(with(severalConfig, "clock: {ntp: {servers: [hub]}}") + someCameras))
	must(t, err)
	list := c.Devices()
	if len(list) != 4 {
		t.Fatalf("%d devices", len(list))
	}
	asked := 0
	for i, want := range []struct {
		device, cell, role string
		live               bool
		wait               time.Duration
	}{{"exo1", "cell-1", RoleExo, false, 10 * time.Second}, {"exo2", "cell-1", RoleExo, true, 10 * time.Second},
		{"exo3", "cell-2", RoleExo, true, 10 * time.Second}, {"rig-1", "cell-1", RoleEgo, false, 2 * time.Second}} {
		d := list[i]
		if d.Device != want.device || d.Cell != want.cell || d.Role != want.role || d.live() != want.live || d.Pair.Wait != want.wait ||
			d.Site != "plant" || len(d.NATS.URLs) != 1 || d.Cameras != nil {
			t.Errorf("device %d is %+v", i, d)
		}
		must(t, d.Validate())
		if _, ok := d.SiteClock(); ok {
			asked++
		}
	}
	if asked != 4 || list[1].Camera.Latency != 40*time.Millisecond || list[3].Camera.Pace != "fast" || list[0].Camera.Pace != "stamps" {
		t.Errorf("%d ask for the site's time; devices %+v", asked, list)
	}
	one, err := ParseConfig([]byte(with(exoConfig)))
	must(t, err)
	if list := one.Devices(); len(list) != 1 || list[0].Device != "exo1" {
		t.Errorf("devices of one camera: %+v", list)
	}
	if _, err := New(c, Options{}); err == nil || !strings.Contains(err.Error(), "cameras is a list of 4") {
		t.Errorf("one agent of four cameras: %v", err)
	}
}

func TestBadCameras(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"device beside": {with(severalConfig, "device: exo1") + someCameras, "device is set beside cameras, expected it in each of cameras"},
		"camera beside": {with(severalConfig, "camera: {source: a}") + someCameras, "camera is set beside cameras, expected it in each of cameras"},
		"pair beside":   {with(severalConfig, "pair: {exo: [a]}") + someCameras, "pair is set beside cameras, expected it in each of cameras"},
		"twice": {with(severalConfig) + strings.Replace(someCameras, "exo3", "exo1", 1),
			`line 13: cameras[2].device is "exo1", expected a name of its own: cameras[0] has it`},
		"no name": {with(severalConfig) + "cameras:\n  - camera: {source: a}\n",
			`line 7: cameras[0].device: "" is not a token: expected 1 to 32 of the characters a-z, 0-9 and '-'`},
		"role": {with(severalConfig) + strings.Replace(someCameras, "ego", "teacher", 1),
			`line 17: cameras[3].role is "teacher", expected exo or ego`},
		"no role": {with(severalConfig, "role: ''") + someCameras, `line 7: cameras[0].role is "", expected exo or ego`},
		"source":  {with(severalConfig) + "cameras:\n  - device: exo1\n    camera: {pace: fast}\n", `line 8: cameras[0].camera.source is "", expected a camera or recording (or camera.takes, a list of recordings)`},
		"pair":    {with(severalConfig) + strings.Replace(someCameras, "exo1, exo2", "exo1, exo1", 1), `line 19: cameras[3].pair.exo[1] is exo1, expected each device once`},
		"no unit": {with(severalConfig) + strings.Replace(someCameras, "40ms", "40", 1), "line 12: cameras[1].camera.latency is 40, expected a time with its unit such as 250ms"},
		"unknown": {with(severalConfig) + strings.Replace(someCameras, "pace", "peace", 1), `line 18: unknown field "peace"`},
		"clock":   {with(severalConfig, "clock: {ntp: {burst: -1}}") + someCameras, "line 6: clock.ntp.burst"},
		"many":    {with(severalConfig) + "cameras: [" + strings.Repeat("{device: a}, ", 65) + "]\n", "cameras is a list of 65, expected at most 64; start another agent for the others"},
	} {
		_, err := ParseConfig([]byte(c.text))
		if err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), "configuration: "), c.want) {
			t.Errorf("%s:\ngot  %v\nwant %s", name, err, c.want)
		}
	}
}

func TestExampleOfSeveralCameras(t *testing.T) {
	c, err := LoadConfig("../deploy/agent-cameras.example.yaml")
	must(t, err)
	if len(c.Devices()) != 3 {
		t.Errorf("%+v", c.Devices())
	}
	text, err := os.ReadFile("../deploy/agent-cameras.example.yaml")
	must(t, err)
	for _, field := range []string{"device:", "cell:", "role:", "camera:", "pair:"} {
		if !strings.Contains(string(text), field) {
			t.Errorf("it doesn't show %s", field)
		}
	}
}

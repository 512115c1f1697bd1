package sim

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestConfigNamesTheFieldThatCantBe(t *testing.T) {
	cam := func(change func(*Camera)) Config {
		c := Config{Cameras: DefaultCameras("ego")}
		change(&c.Cameras[0])
		return c
	}
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"zero is usable", Config{}, ""},
		{"negative length", Config{Length: -time.Second}, "length -1s"},
		{"endless length", Config{Length: 7 * time.Hour}, "length 7h0m0s"},
		{"less than a frame", Config{Length: time.Millisecond}, "at least one frame"},
		{"fps", Config{FPS: 1000}, "fps 1000"},
		{"fps not a number", Config{FPS: math.NaN()}, "fps NaN"},
		{"crew", Config{Workers: -1}, "workers -1"},
		{"start", Config{Start: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}, "start 1969"},
		{"no cameras", Config{Cameras: []Camera{}}, "cameras: want at least one of exo1, exo2, ego"},
		{"empty process", Config{Processes: []*Process{{}}}, "process 0: has no steps"},
		{"unknown camera", Config{Cameras: DefaultCameras("exo3")}, `camera "exo3": unknown camera`},
		{"camera twice", Config{Cameras: DefaultCameras("ego", "ego")}, `camera "ego": named twice`},
		{"odd width", cam(func(c *Camera) { c.Width, c.Height = 321, 240 }), "width 321"},
		{"only a height", cam(func(c *Camera) { c.Height = 240 }), "width 0"},
		{"high", cam(func(c *Camera) { c.Width, c.Height = 320, 99998 }), "height 99998"},
		{"camera fps", cam(func(c *Camera) { c.FPS = -5 }), "fps -5"},
		{"latency", cam(func(c *Camera) { c.Latency = -1 }), "latency -1ns"},
		{"offset", cam(func(c *Camera) { c.Offset = 100 * time.Hour }), "offset 100h"},
		{"skew", cam(func(c *Camera) { c.SkewPPM = math.Inf(1) }), "skew +Inf ppm"},
		{"jitter", cam(func(c *Camera) { c.Jitter = time.Minute }), "jitter 1m"},
		{"drop", cam(func(c *Camera) { c.Drop = 1 }), "drop 1"},
		{"double", cam(func(c *Camera) { c.Double = -0.1 }), "double -0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.cfg.Validate()
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
			if _, err2 := NewScene(tc.cfg, TakeSpec{}); err2 == nil || err2.Error() != err.Error() {
				t.Fatalf("NewScene says %v, Validate %v", err2, err)
			}
		})
	}
}

func TestSceneRefusesAnImpossibleIndex(t *testing.T) {
	for _, i := range []int{-1, 1e9} {
		if _, err := NewScene(Config{}, TakeSpec{Index: i}); err == nil || !strings.Contains(err.Error(), "index") {
			t.Errorf("index %d: error %v", i, err)
		}
	}
}

func TestLabelsBeginWithBackground(t *testing.T) {
	labels := Labels()
	if labels[0] != Background {
		t.Fatalf("labels begin with %q", labels[0])
	}
	seen := map[string]bool{}
	for _, l := range labels {
		if seen[l] {
			t.Errorf("%q is there twice", l)
		}
		seen[l] = true
	}
	if actions := len(labels) - 1; actions < 10 {
		t.Errorf("%d actions, want at least 10", actions)
	}
	p := &Process{Name: "p", Steps: []Step{{0, 5, "b"}, {5, 9, "a"}, {12, 15, "b"}}}
	got := Config{Processes: []*Process{p}}.Labels()
	if strings.Join(got, ",") != "background,b,a" {
		t.Errorf("labels of a process are %q", got)
	}
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gocv.io/x/gocv"
	"golang.org/x/sys/unix"

	"tandem/stream/capture"
)

// opencvBuild is what the OpenCV that this binary is linked with can do.
type opencvBuild struct {
	Version  string
	Backends []string // of video, upper case
}

func readOpenCV() opencvBuild {
	b := opencvBuild{Version: gocv.OpenCVVersion()}
	for _, api := range gocv.VideoRegistry.GetBackends() {
		b.Backends = append(b.Backends, strings.ToUpper(gocv.VideoRegistry.GetBackendName(api)))
	}
	return b
}

// backends are what sources need of OpenCV.
var backends = []struct {
	name, use, mend string
	kinds           []capture.Kind
}{
	{"FFMPEG", "video files and network cameras", "sudo apt-get install libopencv-videoio-dev libavcodec-extra, or build OpenCV with -DWITH_FFMPEG=ON and Tandem with TANDEM_OPENCV=system",
		[]capture.Kind{capture.KindFile, capture.KindURL}},
	{"V4L2", "cameras of this machine", "build OpenCV with -DWITH_V4L=ON and Tandem with TANDEM_OPENCV=system", []capture.Kind{capture.KindV4L2}},
	{"GSTREAMER", "gst: pipelines, such as a Jetson's cameras", "sudo apt-get install gstreamer1.0-plugins-good gstreamer1.0-plugins-bad, or build OpenCV with -DWITH_GSTREAMER=ON and Tandem with TANDEM_OPENCV=system",
		[]capture.Kind{capture.KindGStreamer}},
}

func (d *doctor) lookOpenCV(context.Context) []finding {
	b := d.opencv()
	list := []finding{{Area: "opencv", What: "library", State: stateOK, Required: true, Found: fmt.Sprintf("OpenCV %s (gocv %s)", b.Version, gocv.Version())}}
	var needed []capture.Kind
	for _, s := range d.sources() {
		if kind, err := capture.KindOf(s.Source); err == nil {
			needed = append(needed, kind)
		}
	}
	for _, want := range backends {
		f := finding{Area: "opencv", What: want.name, State: stateOK, Found: want.use}
		f.Required = slices.ContainsFunc(want.kinds, func(k capture.Kind) bool { return slices.Contains(needed, k) })
		if !slices.Contains(b.Backends, want.name) {
			f.State, f.Found, f.Mend = stateMissing, "this OpenCV was built without it: no "+want.use, want.mend
		}
		list = append(list, f)
	}
	return list
}

// sources are what the agent plays.
func (d *doctor) sources() []capture.Config {
	if d.cfg == nil {
		return nil
	}
	var list []capture.Config
	for _, c := range d.cfg.Devices() {
		sources, err := c.Sources(time.Now())
		if err != nil { // one of them can't be: each is tried, and says so itself
			if c.Camera.Source != "" {
				list = append(list, capture.Config{Source: c.Camera.Source})
			}
			for _, t := range c.Camera.Takes {
				list = append(list, capture.Config{Source: t.Source})
			}
		}
		for _, s := range sources {
			list = append(list, s.Capture)
		}
	}
	return list
}

// lookCameras looks at this machine's cameras, and opens those of the configuration for a frame.
func (d *doctor) lookCameras() []look {
	list := []look{{area: "camera", run: d.listCameras}}
	const most = 8 // recordings; more of them say no more about the machine
	sources := d.sources()
	for i, s := range sources {
		if i == most {
			list = append(list, look{area: "camera", run: func(context.Context) []finding {
				return []finding{{
					Area: "camera", What: "recordings", State: stateOK,
					Found: fmt.Sprintf("%d more are not looked at; 'tandem agent --config %s --check' does", len(sources)-most, d.path),
				}}
			}})
			break
		}
		list = append(list, look{area: "camera", required: true, run: func(ctx context.Context) []finding { return []finding{tryCamera(ctx, s)} }})
	}
	return list
}

func (d *doctor) listCameras(context.Context) []finding {
	devices, err := filepath.Glob(filepath.Join(d.root, "dev", "video[0-9]*"))
	if err != nil || len(devices) == 0 {
		f := finding{Area: "camera", What: "/dev/video*", State: stateMissing, Found: "no camera of this machine",
			Mend: "plug one in and look at 'sudo dmesg | tail'; in a container: --device /dev/video0"}
		return []finding{f} // whether one is required, its own finding says
	}
	slices.SortFunc(devices, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	var list []finding
	for _, path := range devices {
		name := filepath.Base(path)
		f := finding{Area: "camera", What: "/dev/" + name, State: stateOK, Found: "a video device"}
		if text, err := os.ReadFile(filepath.Join(d.root, "sys", "class", "video4linux", name, "name")); err == nil {
			f.Found = strings.TrimSpace(string(text))
		}
		if err := unix.Access(path, unix.R_OK|unix.W_OK); err != nil {
			f.State, f.Mend = stateWarn, "sudo usermod -aG video $(id -un), then log in again"
			f.Found += fmt.Sprintf(": can't be opened by this user (%v)", err)
		}
		list = append(list, f)
	}
	return list
}

// tryCamera takes one frame of a camera or recording.
func tryCamera(ctx context.Context, c capture.Config) finding {
	f := finding{Area: "camera", What: redacted(c.Source), Required: true, State: stateOK}
	c.Log = silent()
	c.Pace = capture.AsFast
	fail := func(err error) finding {
		f.State, f.Found = stateMissing, err.Error()
		kind, kindErr := capture.KindOf(c.Source)
		switch {
		case kindErr != nil || kind == capture.KindFile || !kind.Live():
			f.Mend = "check the path, and that the recording plays: ffprobe " + redacted(c.Source)
		case kind == capture.KindV4L2:
			f.Mend = "v4l2-ctl --list-devices shows what is there, 'sudo fuser -v " + c.Source + "' who uses it"
		case kind == capture.KindGStreamer:
			f.Mend = "try the pipeline: gst-launch-1.0 " + strings.TrimPrefix(c.Source, "gst:")
		default:
			f.Mend = "check address, user and password: ffprobe '" + redacted(c.Source) + "'"
		}
		return f
	}
	if deadline, ok := ctx.Deadline(); ok {
		left := max(time.Until(deadline), time.Millisecond)
		c.OpenTimeout, c.ReadTimeout = left, left
	}
	camera, err := capture.Open(ctx, c)
	if err != nil {
		return fail(err)
	}
	began := time.Now()
	frame, err := camera.Next(ctx)
	if err != nil {
		_ = camera.Close() // the first error is the one to act on
		return fail(fmt.Errorf("it opens, and no frame comes: %w", err))
	}
	camera.Release(frame)
	info := camera.Info()
	f.Found = fmt.Sprintf("%dx%d, %.4g fps, stamps: %s; a frame after %v", info.Width, info.Height, info.FPS, info.Stamps, time.Since(began).Round(time.Millisecond))
	if err := camera.Close(); err != nil {
		return fail(err)
	}
	return f
}

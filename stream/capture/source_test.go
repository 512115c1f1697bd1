package capture

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"
)

func TestSourcesAreUnderstood(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "a:b %d.mp4"), "x")
	for source, want := range map[string]target{
		file:                        {KindFile, file, file},
		"file://" + file:            {KindFile, file, file},
		dir:                         {KindPictures, dir, dir},
		dir + "/%06d.png":           {KindPictures, dir + "/%06d.png", dir + "/%06d.png"},
		"v4l2:0":                    {KindV4L2, "/dev/video0", "/dev/video0"},
		"v4l2:/dev/v4l/by-id/x":     {KindV4L2, "/dev/v4l/by-id/x", "/dev/v4l/by-id/x"},
		"/dev/video12":              {KindV4L2, "/dev/video12", "/dev/video12"},
		"rtsp://a:b@cam:8554/1?x=y": {KindURL, "rtsp://a:b@cam:8554/1?x=y", "rtsp://a:xxxxx@cam:8554/1?x=y"},
		"gst: videotestsrc ! appsink": {KindGStreamer, "videotestsrc ! appsink",
			"gst: videotestsrc ! appsink"},
	} {
		if got, err := parseSource(source); err != nil || got != want {
			t.Errorf("%s: %+v, %v", source, got, err)
		}
		if kind, err := KindOf(source); err != nil || kind != want.kind {
			t.Errorf("KindOf(%s) = %s, %v", source, kind, err)
		}
	}
	for source, want := range map[string]string{
		"":                         "source is empty",
		"a\x00b":                   "zero byte",
		"v4l2:":                    "want v4l2: and the number",
		"v4l2:-1":                  "want v4l2: and the number",
		"v4l2:1234":                "want v4l2: and the number",
		"gst:videotestsrc":         "must end in appsink",
		"rtsp://":                  "not a URL with a host",
		"rtsp://u:pa%zzss@cam/1":   "special characters escaped",
		"7":                        "written v4l2:7",
		filepath.Join(dir, "none"): "check the path",
	} {
		_, err := parseSource(source)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "ss@") {
			t.Errorf("%q: %v, want %q", source, err, want)
		}
	}
}

// Names that FFmpeg would take for protocols or patterns are files like any others.
func TestFilesWithAwkwardNames(t *testing.T) {
	dir := t.TempDir()
	data := movie{width: 64, height: 48, ticks: evenTicks(2)}.bytes(t)
	for _, name := range []string{"http:a.mp4", "50%d.mp4", "a b#c?.mp4", "été.mp4", "-i.mp4", "noending"} {
		path := writeFile(t, filepath.Join(dir, name), string(data))
		if all, _ := mustReadAll(t, Config{Source: path}); len(all) != 2 {
			t.Errorf("%s: %d frames", name, len(all))
		}
	}
	t.Chdir(dir)
	if all, _ := mustReadAll(t, Config{Source: "http:a.mp4"}); len(all) != 2 {
		t.Error("a relative name with a colon")
	}
}

func TestCamerasAndPipelinesThatAreNotThere(t *testing.T) {
	if _, err := Open(t.Context(), quiet(Config{Source: "/dev/video987"})); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "no such camera") {
		t.Errorf("no device: %v", err)
	}
	if _, err := Open(t.Context(), quiet(Config{Source: "v4l2:/dev/null", Width: 640, Height: 480, FPS: 30})); err == nil || !strings.Contains(err.Error(), "can't be opened") {
		t.Errorf("not a camera: %v", err)
	}
	_, err := Open(t.Context(), quiet(Config{Source: "gst:nosuchelement ! appsink"}))
	want := "plug-in that isn't installed"
	if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureGstreamer) {
		want = "built without GStreamer"
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("no such element: %v, want %q", err, want)
	}
}

func TestGStreamerPipeline(t *testing.T) {
	if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureGstreamer) {
		t.Skip("this OpenCV was built without GStreamer")
	}
	c, err := Open(t.Context(), quiet(Config{
		Source:    "gst:videotestsrc num-buffers=5 ! videoconvert ! video/x-raw,format=BGR,width=64,height=48 ! appsink",
		Reconnect: Reconnect{Attempts: -1}, Overflow: Block,
	}))
	if err != nil {
		t.Skipf("GStreamer's base plug-ins are not installed: %v", err)
	}
	defer c.Close()
	n := 0
	for {
		f, err := c.Next(t.Context())
		if errors.Is(err, ErrLost) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		c.Release(f)
	}
	if n != 5 {
		t.Errorf("%d frames, want 5", n)
	}
}

func TestAStreamThatCannotBeOpenedSaysWhy(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	open := func() error {
		_, err := Open(t.Context(), quiet(Config{Source: "rtsp://operator:secret@" + addr + "/1", OpenTimeout: time.Second, ReadTimeout: time.Second}))
		return err
	}
	served := make(chan struct{})
	go func() { // answers, and hangs up
		defer close(served)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // the point is that it ends
		}
	}()
	if err := open(); err == nil || !strings.Contains(err.Error(), "answers on port") || strings.Contains(err.Error(), "secret") {
		t.Errorf("a server that hangs up: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-served
	if err := open(); err == nil || !strings.Contains(err.Error(), "can't reach the camera") || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody there: %v", err)
	}
	if err := diagnose(t.Context(), "udp://239.0.0.1:5000"); !strings.Contains(err.Error(), "no stream came") {
		t.Errorf("udp: %v", err)
	}
}

// OpenCV and FFmpeg write to the process's stderr, so a process of its own is watched: it is this test again.
func TestOpenCVIsQuietUnlessAsked(t *testing.T) {
	if dir := os.Getenv("TANDEM_TEST_NOISE"); dir != "" {
		for _, source := range []string{filepath.Join(dir, "cut.mp4"), "v4l2:/dev/null", "gst:nosuchelement ! appsink", "rtsp://127.0.0.1:1/x"} {
			if _, err := Open(t.Context(), quiet(Config{Source: source})); err == nil {
				t.Errorf("%s was opened", source)
			}
		}
		return
	}
	dir := t.TempDir()
	data := movie{width: 64, height: 48, ticks: evenTicks(2)}.bytes(t)
	writeFile(t, filepath.Join(dir, "cut.mp4"), string(data[:len(data)/2]))
	noise := func(env ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestOpenCVIsQuietUnlessAsked$")
		cmd.Env = append(os.Environ(), append(env, "TANDEM_TEST_NOISE="+dir)...)
		out, err := cmd.CombinedOutput() // with a level set, FFmpeg's part goes to stdout
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if got := noise("OPENCV_LOG_LEVEL=", "OPENCV_FFMPEG_LOGLEVEL="); strings.TrimSpace(got) != "PASS" && testing.CoverMode() == "" {
		t.Errorf("it wrote:\n%s", got)
	}
	if got := noise("OPENCV_LOG_LEVEL=WARNING", "OPENCV_FFMPEG_LOGLEVEL=16"); !strings.Contains(got, "moov atom not found") || !strings.Contains(got, "nosuchelement") {
		t.Errorf("asked for, it wrote only:\n%s", got)
	}
}

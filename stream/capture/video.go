package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"gocv.io/x/gocv"

	"tandem/stream/frame"
)

var (
	// ErrNoFrames is returned by Open and Probe for a recording without a single frame.
	ErrNoFrames = errors.New("no frames")
	// ErrNotVideo is returned by Open and Probe for a file that can't be read as video.
	ErrNotVideo = errors.New("not a playable video")
)

// errDecode says that one picture is lost, and that reading can go on.
var errDecode = errors.New("picture can't be decoded")

const (
	maxDamaged = 100 // frames in a row, before the source is taken to have ended

	maxFPS = 1000 // OpenCV reports 90000 for containers whose rate it doesn't know

	// Properties of OpenCV ≥ 4.5 that gocv has no names for.
	openTimeoutMsec = gocv.VideoCaptureProperties(53)
	readTimeoutMsec = gocv.VideoCaptureProperties(54)
)

// input is an opened source.
type input interface {
	// read decodes the next picture into m. io.EOF: there is none, the recording or the connection ended. errDecode: this
	// one is lost. Other errors are final.
	read(m *gocv.Mat) (rawStamp, error)
	// describe fills in what the source announces of itself.
	describe(*Info)
	Close() error
}

// opener opens the source that a Config's target names.
type opener func(ctx context.Context, t target, cfg Config) (input, error)

// openInput opens a source of any kind.
func openInput(ctx context.Context, t target, cfg Config) (input, error) {
	switch t.kind {
	case KindPictures:
		return openPictures(t, cfg)
	case KindFile:
		return openFile(t)
	case KindV4L2:
		return openCamera(t, cfg)
	case KindGStreamer:
		return openPipeline(t, cfg)
	default:
		return openURL(ctx, t, cfg)
	}
}

// videoCapture is what Tandem uses of gocv.VideoCapture.
type videoCapture interface {
	Read(m *gocv.Mat) bool
	Get(prop gocv.VideoCaptureProperties) float64
	Close() error
}

// video is a source read through one of OpenCV's video backends.
type video struct {
	vc     videoCapture
	stamps frame.RawKind // Driver where POS_MSEC is to be trusted, else Arrival
	api    gocv.VideoCaptureAPI
	box    container // of files
	begun  bool

	patience time.Duration // reading that fails after this long is no damaged frame; 0 for files
}

func (v *video) read(m *gocv.Mat) (rawStamp, error) {
	lost, err := v.advance(func() bool { return v.vc.Read(m) })
	if err != nil {
		return rawStamp{}, err
	}
	return v.stamp(lost), checkPixels(m)
}

// checkPixels refuses pixel formats that nobody here reads.
func checkPixels(m *gocv.Mat) error {
	switch m.Type() {
	case gocv.MatTypeCV8UC1, gocv.MatTypeCV8UC3:
		return nil
	}
	return fmt.Errorf("frames have pixel format %v; want 8-bit grey or BGR (in a GStreamer pipeline: videoconvert ! video/x-raw,format=BGR ! appsink)", m.Type())
}

// stamp is the raw stamp of the frame that has just been decoded, lost ones before it.
func (v *video) stamp(lost int64) rawStamp {
	if v.stamps != frame.Driver {
		return rawStamp{kind: frame.Arrival, lost: lost}
	}
	// Asked after the read: before it, POS_MSEC is still that of the frame before.
	ms := v.vc.Get(gocv.VideoCapturePosMsec)
	if first := !v.begun; first && (v.box.format == "mp4" || v.box.format == "matroska") {
		// It counts from the first frame, but where that one's stamp is 0, OpenCV takes it for none and gives the
		// decoding time of a later frame instead.
		ms = 0
	}
	v.begun = true
	if !(math.Abs(ms) < 1<<62/1e6) {
		ms = 0
	}
	return rawStamp{int64(math.Round(ms * 1e6)), frame.Driver, lost}
}

// advance goes on to the next picture that can be decoded, by next; lost is how many before it could not. OpenCV says the same, false,
// of a damaged frame, of the end and of a timeout: after a damaged frame reading on works, at the end it fails again at
// once, and a timeout shows by how long it took.
func (v *video) advance(next func() bool) (lost int64, err error) {
	for start := time.Now(); !next(); lost++ {
		if lost == maxDamaged || v.patience > 0 && time.Since(start) > v.patience {
			return 0, io.EOF
		}
	}
	return lost, nil
}

func (v *video) describe(i *Info) {
	i.Backend = gocv.VideoRegistry.GetBackendName(v.api)
	i.Codec = fourCC(v.vc.Get(gocv.VideoCaptureFOURCC))
	i.Width = int(v.vc.Get(gocv.VideoCaptureFrameWidth))
	i.Height = int(v.vc.Get(gocv.VideoCaptureFrameHeight))
	i.Stamps = v.stamps
	i.Truncated = v.box.truncated
	i.FPS, i.Frames = 0, -1
	if fps := v.vc.Get(gocv.VideoCaptureFPS); fps > 0 && fps <= maxFPS {
		i.FPS = fps
		if n := v.vc.Get(gocv.VideoCaptureFrameCount); !i.Live && n > 0 && n < 1<<53 {
			i.Frames = int64(n)
		}
	}
}

func (v *video) Close() error { return v.vc.Close() }

func fourCC(code float64) string {
	if !(code > 0 && code < 1<<32) {
		return ""
	}
	n := uint32(code)
	return strings.TrimRight(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})), " ")
}

// open calls one of gocv's constructors, which may return a capture together with an error: it is closed then.
func open(vc *gocv.VideoCapture, err error) (*gocv.VideoCapture, bool) {
	if err == nil && vc.IsOpened() {
		return vc, true
	}
	if vc != nil {
		_ = vc.Close() // never fails
	}
	return nil, false
}

func openFile(t target) (input, error) {
	box, err := inspect(t.arg)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%w; let this user read it", os.ErrPermission)
	case err != nil:
		return nil, err
	case box.size == 0:
		return nil, box.problem()
	}
	vc, ok := open(gocv.VideoCaptureFileWithAPI(t.arg, gocv.VideoCaptureFFmpeg))
	if !ok {
		if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureFFmpeg) {
			return nil, errNoBackend("FFmpeg")
		}
		return nil, box.problem()
	}
	return &video{vc: vc, stamps: frame.Driver, api: gocv.VideoCaptureFFmpeg, box: box}, nil
}

func openCamera(t target, cfg Config) (input, error) {
	if _, err := os.Stat(t.arg); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = os.ErrNotExist
		}
		return nil, fmt.Errorf("no such camera: %w; plug it in, or choose one of /dev/video*", err)
	}
	var ask []gocv.VideoCaptureProperties
	for _, p := range []struct {
		prop  gocv.VideoCaptureProperties
		value int
	}{
		{gocv.VideoCaptureFrameWidth, cfg.Width},
		{gocv.VideoCaptureFrameHeight, cfg.Height},
		{gocv.VideoCaptureFPS, int(math.Round(cfg.FPS))},
	} {
		if p.value > 0 {
			ask = append(ask, p.prop, gocv.VideoCaptureProperties(p.value))
		}
	}
	open1 := func() (*gocv.VideoCapture, error) {
		if len(ask) == 0 {
			return gocv.VideoCaptureFileWithAPI(t.arg, gocv.VideoCaptureV4L2)
		}
		return gocv.VideoCaptureFileWithAPIParams(t.arg, gocv.VideoCaptureV4L2, ask)
	}
	vc, ok := open(open1())
	if !ok {
		if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureV4L2) {
			return nil, errNoBackend("V4L2")
		}
		return nil, errors.New("the camera can't be opened: another program has it, this user may not use it (group video), or it can't do the size asked for; OPENCV_LOG_LEVEL=WARNING tells more")
	}
	return &video{vc: vc, stamps: frame.Driver, api: gocv.VideoCaptureV4L2, patience: cfg.ReadTimeout / 2}, nil
}

func openPipeline(t target, cfg Config) (input, error) {
	vc, ok := open(gocv.VideoCaptureFileWithAPI(t.arg, gocv.VideoCaptureGstreamer))
	if !ok {
		if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureGstreamer) {
			return nil, errNoBackend("GStreamer")
		}
		return nil, errors.New("GStreamer can't run the pipeline: a plug-in that isn't installed, or a mistake in it; try it with gst-launch-1.0, OPENCV_LOG_LEVEL=WARNING tells more")
	}
	return &video{vc: vc, stamps: frame.Arrival, api: gocv.VideoCaptureGstreamer, patience: cfg.ReadTimeout / 2}, nil
}

func openURL(ctx context.Context, t target, cfg Config) (input, error) {
	vc, ok := open(gocv.VideoCaptureFileWithAPIParams(t.arg, gocv.VideoCaptureFFmpeg, []gocv.VideoCaptureProperties{
		openTimeoutMsec, gocv.VideoCaptureProperties(cfg.OpenTimeout.Milliseconds()),
		readTimeoutMsec, gocv.VideoCaptureProperties(cfg.ReadTimeout.Milliseconds()),
	}))
	if !ok {
		if !gocv.VideoRegistry.HasBackend(gocv.VideoCaptureFFmpeg) {
			return nil, errNoBackend("FFmpeg")
		}
		return nil, diagnose(ctx, t.arg)
	}
	return &video{vc: vc, stamps: frame.Arrival, api: gocv.VideoCaptureFFmpeg, patience: cfg.ReadTimeout / 2}, nil
}

// diagnose finds out why a stream couldn't be opened, which OpenCV keeps to itself. The error holds no password.
func diagnose(ctx context.Context, source string) error {
	u, err := url.Parse(source)
	if err != nil {
		return errors.New("not a URL")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"rtsp": "554", "rtsps": "322", "http": "80", "https": "443", "rtmp": "1935"}[strings.ToLower(u.Scheme)]
	}
	if port == "" || strings.EqualFold(u.Scheme, "udp") || strings.EqualFold(u.Scheme, "rtp") || strings.EqualFold(u.Scheme, "srt") {
		return errors.New("no stream came within the open timeout; check the address and that the camera sends")
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return fmt.Errorf("can't reach the camera: %w; check the address, the port and that the camera is on", err)
	}
	_ = conn.Close() // only its opening was of interest
	return fmt.Errorf("%s answers on port %s but gives no stream; check the path, user and password, and what the camera sends", u.Hostname(), port)
}

func errNoBackend(name string) error {
	return fmt.Errorf("this OpenCV was built without %s; install one that has it (Debian's has)", name)
}

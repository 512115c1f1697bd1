package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Kind is what a source is.
type Kind string

// The kinds of sources.
const (
	KindFile      Kind = "file"      // a video file
	KindPictures  Kind = "pictures"  // a directory or a numbered pattern of pictures
	KindURL       Kind = "url"       // RTSP and what else FFmpeg fetches from the network
	KindV4L2      Kind = "v4l2"      // a local camera
	KindGStreamer Kind = "gstreamer" // a GStreamer pipeline that ends in appsink
)

// Live reports whether frames of this kind are gone when nobody takes them.
func (k Kind) Live() bool { return k != KindFile && k != KindPictures }

// KindOf tells what a source string means, without opening it. Its errors are those that Open returns for a source that
// makes no sense, and for a path where nothing is.
func KindOf(source string) (Kind, error) {
	t, err := parseSource(source)
	return t.kind, err
}

// target is a source string understood.
type target struct {
	kind Kind
	arg  string // path, URL, device or pipeline, as the backend wants it
	name string // for people: without passwords
}

func parseSource(source string) (target, error) {
	scheme, rest, isURL := strings.Cut(source, "://")
	switch {
	case strings.TrimSpace(source) == "":
		return target{}, errors.New("source is empty; want a video file, a directory or pattern of pictures, an RTSP URL, /dev/videoN, v4l2:N or gst:PIPELINE")
	case strings.ContainsRune(source, 0):
		return target{}, fmt.Errorf("source %q holds a zero byte", source)
	case strings.HasPrefix(source, "gst:"):
		return parsePipeline(source)
	case strings.HasPrefix(source, "v4l2:"):
		return parseDevice(source)
	case isURL && strings.EqualFold(scheme, "file"):
		return parsePath(rest)
	case isURL:
		u, err := url.Parse(source)
		if err != nil || u.Host == "" {
			// The parser's own error would repeat the URL, and with it the password.
			return target{}, fmt.Errorf("source is not a URL with a host (it begins with %q); want rtsp://USER:PASSWORD@HOST:PORT/PATH with special characters escaped as %%XX", scheme+"://")
		}
		return target{KindURL, source, u.Redacted()}, nil
	case strings.HasPrefix(source, "/dev/"):
		return target{KindV4L2, source, source}, nil
	}
	return parsePath(source)
}

func parsePipeline(source string) (target, error) {
	pipeline := strings.TrimSpace(strings.TrimPrefix(source, "gst:"))
	if !strings.Contains(pipeline, "appsink") {
		return target{}, fmt.Errorf("source %q: the pipeline must end in appsink, for example gst:v4l2src ! videoconvert ! video/x-raw,format=BGR ! appsink", source)
	}
	return target{KindGStreamer, pipeline, source}, nil
}

func parseDevice(source string) (target, error) {
	dev := strings.TrimPrefix(source, "v4l2:")
	if strings.HasPrefix(dev, "/dev/") {
		return target{KindV4L2, dev, dev}, nil
	}
	if dev == "" || len(dev) > 3 || strings.Trim(dev, "0123456789") != "" {
		return target{}, fmt.Errorf("source %q: want v4l2: and the number of a camera, such as v4l2:0, or its path", source)
	}
	dev = "/dev/video" + dev
	return target{KindV4L2, dev, dev}, nil
}

// parsePath tells a video file from pictures and finds out early what is wrong with either. The argument is made
// absolute, as FFmpeg would take a name with a colon for a protocol.
func parsePath(path string) (target, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return target{}, fmt.Errorf("source %s: %w", path, err)
	}
	st, err := os.Stat(abs)
	switch {
	case err == nil && st.IsDir():
		return target{KindPictures, abs, path}, nil
	case err == nil && st.Mode().IsRegular():
		return target{KindFile, abs, path}, nil
	case err == nil:
		return target{}, fmt.Errorf("source %s: neither a file nor a directory but %s; want a video file or a directory of pictures", path, st.Mode().Type())
	case errors.Is(err, fs.ErrNotExist) && hasPattern(filepath.Base(abs)):
		return target{KindPictures, abs, path}, nil
	case errors.Is(err, fs.ErrNotExist) && strings.Trim(path, "0123456789") == "":
		return target{}, fmt.Errorf("source %s: %w; a camera's number is written v4l2:%s", path, fs.ErrNotExist, path)
	case errors.Is(err, fs.ErrNotExist):
		return target{}, fmt.Errorf("source %s: %w; check the path", path, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return target{}, fmt.Errorf("source %s: %w; let this user read it and enter its directories", path, fs.ErrPermission)
	default:
		return target{}, fmt.Errorf("source %s: %w", path, err)
	}
}

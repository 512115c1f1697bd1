package capture

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/stream/frame"
)

// A real live source over a real connection: an HTTP camera that sends JPEGs, hangs up now and then, and comes back
// with another picture size.
func TestANetworkCameraThatHangsUp(t *testing.T) {
	var calls atomic.Int64
	camera := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "operator" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="camera"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		call := calls.Add(1)
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		for i := range 12 {
			var b bytes.Buffer
			if err := jpeg.Encode(&b, picture8(160*int(call), 120, i), nil); err != nil {
				t.Error(err)
			}
			if _, err := fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", b.Len(), b.Bytes()); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}))
	defer camera.Close()
	source := strings.Replace(camera.URL, "http://", "http://operator:s3cret@", 1)
	c := mustOpen(t, Config{
		Source:      source,
		OpenTimeout: 20 * time.Second,
		ReadTimeout: 20 * time.Second,
		Overflow:    Block, // so that the test sees every frame
		Reconnect:   Reconnect{Min: time.Millisecond, Max: time.Millisecond},
	})
	if info := c.Info(); !info.Live || info.Kind != KindURL || info.Width != 160 || strings.Contains(info.Source, "s3cret") {
		t.Errorf("%+v", info)
	}
	var last int64
	for {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.RawKind != frame.Arrival || f.Time < last || time.Since(f.When()).Abs() > time.Minute {
			t.Fatalf("frame %d: %+v", f.Index, f)
		}
		last = f.Time
		done := f.Width == 480
		c.Release(f)
		if done {
			break
		}
	}
	if st := c.Stats(); st.Disconnects < 2 || st.Reconnects < 2 || st.SizeChanges != 2 || st.Read < 20 {
		t.Errorf("%+v", st)
	}

	wrong := strings.Replace(source, "s3cret", "other", 1)
	if _, err := Open(t.Context(), quiet(Config{Source: wrong})); err == nil || !strings.Contains(err.Error(), "check the path, user and password") {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := Probe(t.Context(), quiet(Config{Source: source})); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if errors.Is(c.Close(), ErrClosed) {
		t.Error("Close twice")
	}
}

package agent

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// newCamera is a network camera: it sends a JPEG every 20 ms, as long as anybody watches.
func newCamera(t *testing.T) *httptest.Server {
	t.Helper()
	camera := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := byte(0); ; n++ {
			img := image.NewGray(image.Rect(0, 0, 64, 48))
			for i := range img.Pix {
				img.Pix[i] = byte(i/64/12*60) + n
			}
			var b bytes.Buffer
			if err := jpeg.Encode(&b, img, nil); err != nil {
				t.Error(err)
			}
			if _, err := fmt.Fprintf(w, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n", b.Len(), b.Bytes()); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(camera.Close)
	return camera
}

func TestLiveCamera(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
	c := statusConfig(s, "rig-1", "exo1")
	c.Camera = CameraConfig{Source: newCamera(t).URL, ClockBound: 2 * time.Millisecond}
	c.Pair.Wait = 300 * time.Millisecond
	c.Pair.Buffer = 4 // far less than what comes in that time must not hold the camera up
	list, err := c.Sources(time.Now())
	must(t, err)
	if len(list) != 1 || !c.live() {
		t.Fatalf("sources %+v, live %v", list, c.live())
	}
	d := s.run(c)
	d.play(list[0])
	m := s.lastStatus("rig-1", "a camera that runs", func(m *wire.Status) bool {
		return m.State == wire.DeviceState_DEVICE_STATE_RUNNING && m.Counters["samples"] > 15
	})
	if m.Counters["frames_surplus"] == 0 || m.Counters["dropped_extractor"] != 0 {
		t.Errorf("counters %v of a camera of 50 Hz at 10 samples a second", m.Counters)
	}
	d.stop()
	<-d.ended
	must(t, d.err)
	n := d.agent.Counters()
	if n["frames"] != n["samples"]+n["frames_surplus"] {
		t.Errorf("counters %v", n)
	}
	pairs := stored(s, bus.Pairs, "rig-1", wire.DecodePairBatch)
	checkPairs(t, pairs, list[0].Take, int(n["samples"]))
	for _, p := range pairs {
		if p.Ego.Len() > 0 && (p.Ego.StampKind != wire.StampKind_STAMP_KIND_ARRIVAL || p.Ego.ClockSource != wire.ClockSource_CLOCK_SOURCE_NONE) {
			t.Errorf("stamps %v of %v", p.Ego.StampKind, p.Ego.ClockSource)
		}
	}
	events := stored(s, bus.Segments, "rig-1", wire.DecodeSegmentEvent)
	if len(events) == 0 {
		t.Error("there are no segments")
	}
}

package capture

import (
	"sync/atomic"

	"tandem/stream/frame"
)

// Info is what is known of an opened source.
type Info struct {
	Source  string `json:"source"`          // as configured, passwords left out
	Kind    Kind   `json:"kind"`            // file, pictures, url, v4l2 or gstreamer
	Live    bool   `json:"live"`            // frames are gone when nobody takes them
	Backend string `json:"backend"`         // what reads it: FFMPEG, V4L2, GSTREAMER or pictures
	Codec   string `json:"codec,omitempty"` // four-letter code, where there is one

	Width  int `json:"width"` // of the newest frame, or what the source announces before the first
	Height int `json:"height"`
	// FPS is the nominal frame rate, an average where the rate varies; 0 is unknown.
	FPS float64 `json:"fps"`
	// Frames is the length of a recording as its container tells it; -1 is unknown, as it is on live sources. It is a
	// count in mp4, avi and pictures and an estimate from the duration in other containers.
	Frames int64 `json:"frames"`
	// Stamps is where the raw stamps come from, and StampsFile the sidecar if that is where.
	Stamps     frame.RawKind `json:"stamps"`
	StampsFile string        `json:"stamps_file,omitempty"`
	// Truncated says that the file is shorter than it claims: frames at its end are missing.
	Truncated bool `json:"truncated,omitempty"`
}

// Stats counts what became of a source's frames: Read is the sum of Delivered, DroppedOverflow, DroppedBack and the
// frames on their way to Next.
type Stats struct {
	Read      int64 `json:"read"`      // frames decoded
	Delivered int64 `json:"delivered"` // frames handed out by Next
	Held      int64 `json:"held"`      // frames handed out and not released yet

	DroppedOverflow int64 `json:"dropped_overflow"` // the ring was full
	DroppedBack     int64 `json:"dropped_back"`     // the stamp was before the last one's

	DecodeErrors int64 `json:"decode_errors"` // frames that are damaged; they leave a gap in Frame.Index
	Missing      int64 `json:"missing"`       // gaps in numbered pictures; frames that a container promised
	Truncated    int64 `json:"truncated"`     // passes over a recording that broke off before its end
	Passes       int64 `json:"passes"`        // passes over a recording that came to an end
	SizeChanges  int64 `json:"size_changes"`  // frames of another size than the one before

	Disconnects     int64 `json:"disconnects"`      // times that a live source ended
	ConnectFailures int64 `json:"connect_failures"` // attempts to connect that failed
	Reconnects      int64 `json:"reconnects"`       // attempts to connect again that succeeded

	// Warning is the newest thing that went wrong without ending the capture, in words.
	Warning string `json:"warning,omitempty"`
}

// counters are the live numbers behind Stats. One goroutine writes most of them, any may read.
type counters struct {
	read, delivered, held                     atomic.Int64
	back, decode, missing, truncated          atomic.Int64
	passes, sizes                             atomic.Int64
	disconnects, connectFailures, reconnected atomic.Int64
	warning                                   atomic.Pointer[string]
}

func (n *counters) snapshot() Stats {
	s := Stats{
		Read:            n.read.Load(),
		Delivered:       n.delivered.Load(),
		Held:            n.held.Load(),
		DroppedBack:     n.back.Load(),
		DecodeErrors:    n.decode.Load(),
		Missing:         n.missing.Load(),
		Truncated:       n.truncated.Load(),
		Passes:          n.passes.Load(),
		SizeChanges:     n.sizes.Load(),
		Disconnects:     n.disconnects.Load(),
		ConnectFailures: n.connectFailures.Load(),
		Reconnects:      n.reconnected.Load(),
	}
	if w := n.warning.Load(); w != nil {
		s.Warning = *w
	}
	return s
}

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"tandem/sync/offset"
)

// syncCheckReport is what sync check prints. 'tandem sync redo --offsets' reads it.
type syncCheckReport struct {
	BandMS  float64           `json:"band_ms"`
	Ego     syncCheckVideo    `json:"ego"`
	Cameras []syncCheckCamera `json:"cameras"`
}

// syncCheckVideo says what was read of a video.
type syncCheckVideo struct {
	Name       string  `json:"name"`
	Source     string  `json:"source"`
	Frames     int     `json:"frames"`
	FPS        float64 `json:"fps"`
	Seconds    float64 `json:"seconds"`
	StampsFile string  `json:"stamps_file,omitempty"`
	Repeated   int     `json:"repeated,omitempty"` // frames that came twice
	Back       int     `json:"back,omitempty"`     // frames whose times went back, left out
}

func newSyncCheckVideo(v *checkedVideo) syncCheckVideo {
	return syncCheckVideo{v.name, v.source, v.Frames, v.FPS, v.Seconds(), v.StampsFile, v.Repeated, v.Back}
}

// syncCheckCamera is what was found of a fixed camera. Where the verdict is neither ok nor shifted, the offset is no more than
// the best guess.
type syncCheckCamera struct {
	syncCheckVideo
	Verdict      string  `json:"verdict"`
	Reason       string  `json:"reason,omitempty"` // why no offset is claimed
	OffsetMS     float64 `json:"offset_ms"`        // in the middle of the common time
	ErrorMS      float64 `json:"error_ms"`         // three standard errors
	OffsetFrames float64 `json:"offset_frames"`    // of the head-mounted camera
	ToleranceMS  float64 `json:"tolerance_ms"`
	// DriftPPM is 0 unless what was seen is more than three standard errors from 0.
	DriftPPM      float64  `json:"drift_ppm"`
	DriftSeenPPM  *float64 `json:"drift_seen_ppm"` // null where half the time tells nothing
	DriftErrorPPM *float64 `json:"drift_error_ppm"`
	Confidence    *float64 `json:"confidence"` // peak to the next one; null where there is no other
	Height        float64  `json:"height"`     // of the peak, in standard deviations of the other lags
	CommonSeconds float64  `json:"common_seconds"`

	match  offset.Match
	status int
}

// status is the exit status: the worst camera's.
func (r *syncCheckReport) status() int {
	worst := exitOK
	for _, c := range r.Cameras {
		worst = max(worst, c.status)
	}
	return worst
}

func (r *syncCheckReport) print(out io.Writer) error {
	for _, v := range append([]syncCheckVideo{r.Ego}, videosOf(r.Cameras)...) {
		times := "times of the container"
		if v.StampsFile != "" {
			times = "times of " + v.StampsFile
		}
		fmt.Fprintf(out, "%s: %d frames at %.4g a second, %.1f s, %s", v.Name, v.Frames, v.FPS, v.Seconds, times)
		if v.Repeated > 0 {
			fmt.Fprintf(out, ", %d frames twice", v.Repeated)
		}
		if v.Back > 0 {
			fmt.Fprintf(out, ", %d frames left out whose times go back", v.Back)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "camera\toffset\tframes\tdrift\tconfidence\tverdict\t\n")
	for _, c := range r.Cameras {
		shift, frames, drift, confidence := fmt.Sprintf("%+.0f ± %.0f ms", c.OffsetMS, c.ErrorMS), fmt.Sprintf("%+.1f", c.OffsetFrames), "?", "only peak"
		if c.DriftSeenPPM != nil {
			if drift = fmt.Sprintf("%+.0f ± %.0f ppm", *c.DriftSeenPPM, 3**c.DriftErrorPPM); c.DriftPPM == 0 {
				drift = fmt.Sprintf("none beyond %.0f ppm", max(math.Abs(*c.DriftSeenPPM), 3**c.DriftErrorPPM))
			}
		}
		if c.Confidence != nil {
			confidence = fmt.Sprintf("%.1f", *c.Confidence)
		}
		if c.status == exitUnsure || c.status == exitUnrelated {
			shift, frames, drift = "?", "?", "?"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", c.Name, shift, frames, drift, confidence, c.Verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, c := range r.Cameras {
		if c.Reason != "" {
			fmt.Fprintf(out, "\n%s: %s", c.Name, c.Reason)
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", r.next())
	return err
}

func videosOf(cameras []syncCheckCamera) []syncCheckVideo {
	var list []syncCheckVideo
	for _, c := range cameras {
		list = append(list, c.syncCheckVideo)
	}
	return list
}

// next says what to do.
func (r *syncCheckReport) next() string {
	var redo []string
	for _, c := range r.Cameras {
		if c.status == exitShifted {
			redo = append(redo, fmt.Sprintf("--offset %s=%.0f±%.0f", c.Name, c.OffsetMS, math.Ceil(c.ErrorMS)))
		}
	}
	var said []string
	if len(redo) > 0 {
		said = append(said, fmt.Sprintf("next: to align an archive of pairs that was made from these clocks, run\n  tandem sync redo ARCHIVE --out NEW %s", strings.Join(redo, " ")))
	}
	switch r.status() {
	case exitUnrelated:
		said = append(said, fmt.Sprintf("next: check that the videos are of one take, or look further than %g s with --band", r.BandMS/1000))
	case exitUnsure:
		said = append(said, "next: give a longer video; with --plot FILE.png you see what was compared")
	case exitOK:
		said = append(said, "the cameras are synchronized within the tolerance; nothing needs to be done")
	}
	return strings.Join(said, "\n")
}

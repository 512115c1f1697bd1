package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem/tas"
)

// onlineReport is what `tandem eval --online --json` prints.
type onlineReport struct {
	tas.OnlineScores
	Videos   int           `json:"videos"`
	Frames   int           `json:"frames"`
	PerVideo []onlineVideo `json:"per_video,omitempty"`
}

// onlineVideo is one take's part of the report.
type onlineVideo struct {
	Video  string `json:"video"`
	Frames int    `json:"frames"`
	tas.OnlineScores
}

// checkOnline says which flag is wrong.
func (o evalOptions) checkOnline() error {
	switch {
	case o.pred != "":
		return usagef("--online and --pred are two kinds of predictions; give one of them")
	case !(o.fps > 0 && o.fps <= 1000):
		return usagef("--fps is %g, expected the frames a second of the true labels, more than 0 and at most 1000", o.fps)
	}
	return nil
}

// runOnlineEval scores a file of segment events.
func runOnlineEval(stdout, stderr io.Writer, o evalOptions, background []string) error {
	events, err := tas.ReadEvents(o.online)
	if err != nil {
		return err
	}
	truths, err := labelFiles(o.gt)
	if err != nil {
		return err
	}
	videos, err := onlineVideos(o, events, truths)
	if err != nil {
		return err
	}
	if extra := withoutTruth(events, truths, o.device); len(extra) > 0 {
		fmt.Fprintf(stderr, "tandem: warning: %s holds takes without ground truth, which are left out: %s%s\n", o.online, extra[0], andMore(extra[1:]))
	}
	report, err := scoreOnline(videos, background, o.perVideo)
	if err != nil {
		return err
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	return report.writeTable(stdout)
}

// onlineVideos joins each file of truth with the events of its take.
func onlineVideos(o evalOptions, events []tas.Event, truths []string) ([]tas.OnlineVideo, error) {
	var videos []tas.OnlineVideo
	for _, name := range truths {
		gt, err := tas.ReadFrames(filepath.Join(o.gt, name))
		if err != nil {
			return nil, err
		}
		v := tas.OnlineVideo{Name: strings.TrimSuffix(name, labelFileExt), GT: gt, Rate: o.fps, Origin: -1}
		var devices []string
		for _, e := range events {
			if e.Take != v.Name || o.device != "" && e.Device != o.device && (e.Kind != tas.EventOrigin || e.Device != "") {
				continue
			}
			if e.Kind == tas.EventOrigin {
				if v.Origin >= 0 && v.Origin != e.Start {
					return nil, fmt.Errorf("%s: take %s has two origins, %d and %d ns; expected one", o.online, v.Name, v.Origin, e.Start)
				}
				v.Origin = e.Start
				continue
			}
			if !slices.Contains(devices, e.Device) {
				devices = append(devices, e.Device)
			}
			v.Events = append(v.Events, e)
		}
		if len(v.Events) == 0 {
			return nil, fmt.Errorf("%s has no events of take %s%s, for which there is %s", o.online, v.Name, ofDevice(o.device), filepath.Join(o.gt, name))
		}
		if len(devices) > 1 {
			slices.Sort(devices)
			return nil, fmt.Errorf("%s has events of take %s by the devices %s; name one with --device", o.online, v.Name, strings.Join(devices, ", "))
		}
		if v.Origin < 0 { // nobody says, so the first sample is frame 0
			v.Origin = slices.MinFunc(v.Events, func(a, b tas.Event) int { return cmp.Compare(a.Start, b.Start) }).Start
		}
		videos = append(videos, v)
	}
	return videos, nil
}

func ofDevice(name string) string {
	if name == "" {
		return ""
	}
	return " by device " + name
}

// withoutTruth lists the takes of events for which there is no file.
func withoutTruth(events []tas.Event, truths []string, device string) []string {
	var extra []string
	for _, e := range events {
		if (device == "" || e.Device == device) && !slices.Contains(truths, e.Take+labelFileExt) && !slices.Contains(extra, e.Take) {
			extra = append(extra, e.Take)
		}
	}
	slices.Sort(extra)
	return extra
}

func scoreOnline(videos []tas.OnlineVideo, background []string, perVideo bool) (r onlineReport, err error) {
	r.Videos = len(videos)
	if r.OnlineScores, err = tas.ScoreOnline(videos, background...); err != nil {
		return r, err
	}
	for i, v := range videos {
		r.Frames += len(v.GT)
		if !perVideo {
			continue
		}
		one := onlineVideo{Video: v.Name, Frames: len(v.GT)}
		if one.OnlineScores, err = tas.ScoreOnline(videos[i:i+1], background...); err != nil {
			return r, err
		}
		r.PerVideo = append(r.PerVideo, one)
	}
	return r, nil
}

// writeTable prints the streams' scores, one line each, and what is known of starts.
func (r onlineReport) writeTable(w io.Writer) error {
	all := fmt.Sprintf("all takes (%d)", r.Videos)
	width := utf8.RuneCountInString(all)
	for _, v := range r.PerVideo {
		width = max(width, utf8.RuneCountInString(v.Video))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-*s %-11s %9s %7s %7s %7s %7s %7s %8s\n", width, "", "stream", "frames", "MoF", "Edit", "F1@10", "F1@25", "F1@50", "seg/true")
	row := func(name, stream string, frames int, s *tas.StreamScores) {
		if s != nil {
			fmt.Fprintf(&b, "%-*s %-11s %9d %7.2f %7.2f %7.2f %7.2f %7.2f %8.2f\n", width, name, stream, frames,
				s.MoF, s.Edit, s.F1At10, s.F1At25, s.F1At50, s.SegmentsPerTrue)
		}
	}
	for _, v := range r.PerVideo {
		row(v.Video, "committed", v.Frames, &v.Committed)
		row(v.Video, "provisional", v.Frames, v.Provisional)
	}
	row(all, "committed", r.Frames, &r.Committed)
	row(all, "provisional", r.Frames, r.Provisional)
	s := r.Starts
	fmt.Fprintf(&b, "\nstarts      %d of %d found; within 1 s %.1f %%, 2 s %.1f %%, 5 s %.1f %% of all\n", s.Found, s.True, s.Within1, s.Within2, s.Within5)
	fmt.Fprintf(&b, "delay       from the true start until it was confirmed: median %.2f s, p95 %.2f s, max %.2f s\n", s.Delay.Median, s.Delay.P95, s.Delay.Max)
	fmt.Fprintf(&b, "confirmed   after a segment's own start: median %.2f s, p95 %.2f s, max %.2f s\n", r.Lag.Median, r.Lag.P95, r.Lag.Max)
	if r.Provisional != nil {
		fmt.Fprintf(&b, "revisions   %.2f a minute\n", r.RevisionsPerMinute)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tandem/sim"
	"tandem/tas"
)

// What a run leaves for `tandem eval --online`: everything that the rig has published, and the truth of the test takes by the names under
// which it played them before and after the adaptation.
const (
	eventsFile  = "events.jsonl"
	truthAfter  = "truth"
	truthBefore = "truth-before"
)

// online writes the files and scores the rig's streams of the test takes that it played as name says.
func (l *loop) online(events []tas.Event, test []truth) error {
	for _, t := range test {
		for _, suffix := range []string{"before", "after"} {
			events = append(events, tas.Event{Take: takeName(t.name, suffix), Kind: tas.EventOrigin, Start: t.start})
		}
	}
	if err := tas.WriteEvents(filepath.Join(l.dir, eventsFile), events); err != nil {
		return err
	}
	for suffix, dir := range map[string]string{"before": truthBefore, "after": truthAfter} {
		dir = filepath.Join(l.dir, dir)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for _, t := range test {
			text := strings.Join(t.labels, "\n") + "\n"
			if err := os.WriteFile(filepath.Join(dir, takeName(t.name, suffix)+".txt"), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	var videos []tas.OnlineVideo
	for _, t := range test {
		v := tas.OnlineVideo{Name: takeName(t.name, "after"), GT: t.labels, Rate: l.c.FPS, Origin: t.start}
		for _, e := range events {
			if e.Device == rig && e.Take == v.Name {
				v.Events = append(v.Events, e)
			}
		}
		videos = append(videos, v)
	}
	s, err := tas.ScoreOnline(videos, sim.Background)
	if err != nil {
		return fmt.Errorf("online scores: %w", err)
	}
	l.result.Online, l.result.Events = &s, filepath.Join(l.dir, eventsFile)
	return nil
}

// meanOnline is the mean over runs; Found and True are sums. It is nil unless all have one.
func meanOnline(runs []SeedRun) *tas.OnlineScores {
	var m tas.OnlineScores
	m.Provisional = &tas.StreamScores{}
	to := onlineFigures(&m)
	n := float64(len(runs))
	for _, r := range runs {
		s := r.Online
		if s == nil || s.Provisional == nil {
			return nil
		}
		for i, v := range onlineFigures(s) {
			*to[i] += *v / n
		}
		m.Starts.True += s.Starts.True
		m.Starts.Found += s.Starts.Found
	}
	return &m
}

// onlineFigures are the figures in a fixed order.
func onlineFigures(s *tas.OnlineScores) (list []*float64) {
	for _, x := range []*tas.StreamScores{&s.Committed, s.Provisional} {
		list = append(list, &x.MoF, &x.Edit, &x.F1At10, &x.F1At25, &x.F1At50, &x.SegmentsPerTrue)
	}
	for _, x := range []*tas.Spread{&s.Starts.Delay, &s.Lag} {
		list = append(list, &x.Median, &x.P95, &x.Max)
	}
	return append(list, &s.Starts.Within1, &s.Starts.Within2, &s.Starts.Within5, &s.RevisionsPerMinute)
}

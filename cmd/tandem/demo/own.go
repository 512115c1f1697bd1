package demo

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"tandem/agent"
	"tandem/stream/capture"
	"tandem/tas"
	"tandem/trainer"
)

// ownRecordings is the loop on the user's own recordings: one take, seen by any number of fixed cameras and the rig.
func (l *loop) ownRecordings(exo []string) error {
	s := l.site
	if err := l.teacherReleased(); err != nil {
		return err
	}
	source := func(file, take string, noPairs bool) agent.Source {
		return agent.Source{Take: take, NoPairs: noPairs, Capture: capture.Config{Source: file, Start: l.start}}
	}
	l.say("release %s runs everywhere: the rig plays your recording with it, and its samples are paired", l.result.ReleaseBefore)
	lists := map[string][]agent.Source{rig: {source(l.c.Ego, "before", false)}}
	for i, file := range l.c.Exo {
		lists[exo[i]] = []agent.Source{source(file, "own", false)}
	}
	if err := l.record(lists); err != nil {
		return err
	}
	live := source(l.c.Ego, "live", true)
	live.Capture.Pace, live.Capture.Loop = capture.ByStamps, true
	pass := "after"
	switch err := l.swapWhileStreaming(live); {
	case errors.Is(err, errRejected):
		// That is an honest result on a short recording, and the loop ran up to it.
		l.say("%v", err)
		pass = "before"
	case err != nil:
		return err
	default:
		l.say("release %s runs on the rig, which plays your recording again", l.result.ReleaseAfter)
		if err := s.camera[rig].play(s.ctx, []agent.Source{source(l.c.Ego, pass, true)}); err != nil {
			return err
		}
	}
	all, events, err := streams(s.ctx, s.conn)
	if err != nil {
		return err
	}
	l.result.Events = filepath.Join(l.dir, eventsFile)
	if err := tas.WriteEvents(l.result.Events, events); err != nil {
		return err
	}
	if l.result.ReleaseAfter != "" {
		if err := l.checkSwap(all); err != nil {
			return err
		}
	}
	if err := l.auditPairs(all, 1); err != nil {
		return err
	}
	get := func(suffix string) func(string) (*stream, error) {
		return func(string) (*stream, error) {
			x := all[rig+"/"+suffix]
			if x == nil {
				return nil, fmt.Errorf("the hub has no segments of %s/%s", rig, suffix)
			}
			return x, nil
		}
	}
	first, err := get("before")("")
	if err != nil {
		return err
	}
	// The first sample is the first frame, whether its stamp came from a file of stamps or from the start given to all.
	own := truth{name: "your recording", start: first.begin()}
	l.strips = strips{title: l.c.Ego, test: []truth{own}, before: get("before"), after: get(pass)}
	if l.c.Labels == "" {
		return nil
	}
	info, err := capture.Probe(s.ctx, capture.Config{Source: l.c.Ego})
	if err != nil {
		return err
	}
	if own.labels, err = tas.ReadFrames(l.c.Labels); err != nil {
		return err
	}
	if info.Frames > 0 && int64(len(own.labels)) != info.Frames {
		return fmt.Errorf("%s has %d labels, %s has %d frames: expected one label a line for each frame",
			l.c.Labels, len(own.labels), l.c.Ego, info.Frames)
	}
	for i := range own.labels {
		own.instants = append(own.instants, own.start+int64((float64(i)+0.5)/info.FPS*1e9))
	}
	own.from = len(own.labels) * 4 / 5 // see trainer.SplitTakes: the gate's part, neither trained nor chosen on
	before, err := score([]truth{own}, get("before"))
	if err != nil {
		return err
	}
	after, err := score([]truth{own}, get(pass))
	if err != nil {
		return err
	}
	l.result.ExoOnly, l.result.Adapted = &before, &after
	l.result.ScoredOn = "the last fifth of your recording, which the student was neither trained nor chosen on"
	l.strips.test, l.strips.fps = []truth{own}, info.FPS
	return nil
}

// probe looks at the user's recordings: they can be read, and either all or none have files of stamps.
func (l *loop) probe(ctx context.Context) error {
	if !l.c.own() {
		return nil
	}
	stamped := 0
	files := append([]string{l.c.Ego}, l.c.Exo...)
	for _, file := range files {
		info, err := capture.Probe(ctx, capture.Config{Source: file})
		if err != nil {
			return err
		}
		if info.StampsFile != "" {
			stamped++
		}
	}
	switch stamped {
	case len(files):
		l.start = 0 // the stamps say
	case 0:
		l.start = recordingsStart
	default:
		return fmt.Errorf("%d of %d recordings have a file of stamps beside them: expected all or none", stamped, len(files))
	}
	if l.c.Labels != "" {
		if _, err := tas.ReadFrames(l.c.Labels); err != nil {
			return err
		}
	}
	if l.c.TeacherTakes != "" {
		if _, err := trainer.FindRecordings(l.c.TeacherTakes, "exo*"); err != nil {
			return err
		}
	}
	return nil
}

// recordingsStart stands for the unknown moment at which recordings without stamps began together: 2026-01-01 UTC.
const recordingsStart = 1767225600 * int64(1e9)

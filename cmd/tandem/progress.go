package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// stageBars shows the stages of a long work as progress bars on a terminal, and as one line a stage elsewhere.
type stageBars struct {
	out  io.Writer
	bars *mpb.Progress // nil when out is no terminal

	mu    sync.Mutex
	stage map[string]*stageBar
}

type stageBar struct {
	bar   *mpb.Bar
	began time.Time
	note  string
}

func newStageBars(out io.Writer) *stageBars {
	s := &stageBars{out: out, stage: map[string]*stageBar{}}
	if isTerminal(out) {
		s.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(48), mpb.WithAutoRefresh())
	}
	return s
}

// report is a trainer.Progress. A stage that begins again gets a new bar.
func (s *stageBars) report(stage string, done, total int, note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.stage[stage]
	if b == nil {
		b = &stageBar{began: time.Now()}
		s.stage[stage] = b
		if s.bars != nil {
			b.bar = s.bars.AddBar(int64(total),
				mpb.PrependDecorators(decor.Name(fmt.Sprintf("%-9s", stage)), decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
				mpb.AppendDecorators(decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), "done"), decor.Any(func(decor.Statistics) string {
					s.mu.Lock()
					defer s.mu.Unlock()
					return "  " + b.note
				})))
		}
	}
	b.note = note
	if b.bar != nil {
		// SetCurrent takes the library's lock, under which the decorator above takes ours.
		bar := b.bar
		s.mu.Unlock()
		bar.SetCurrent(int64(done))
		s.mu.Lock()
	}
	if done >= total {
		delete(s.stage, stage)
		if s.bars == nil {
			fmt.Fprintf(s.out, "%s: %d of %d, %s (%.0f s)\n", stage, done, total, note, time.Since(b.began).Seconds())
		}
	}
}

// lines returns a writer for lines that stay readable between the bars.
func (s *stageBars) lines(otherwise io.Writer) io.Writer {
	if s.bars != nil && isTerminal(otherwise) {
		return s.bars
	}
	return otherwise
}

// wait ends the bars. Those that were not completed stay as they are.
func (s *stageBars) wait() {
	if s.bars == nil {
		return
	}
	s.mu.Lock()
	list := s.stage
	s.stage = map[string]*stageBar{}
	s.mu.Unlock()
	for _, b := range list {
		b.bar.Abort(false)
	}
	s.bars.Wait()
}

// printJSON writes v as indented JSON.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

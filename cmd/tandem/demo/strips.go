package demo

import (
	"fmt"
	"os"
	"slices"

	"tandem/sim"
	"tandem/tas"
	"tandem/tas/strip"
)

const background = sim.Background

// strips is the picture of what the rig said before and after, under the ground truth where there is one.
type strips struct {
	title         string
	test          []truth
	before, after func(name string) (*stream, error)
	fps           float64
}

// mostBlocks keeps the picture on one screen.
const mostBlocks = 4

func (s *strips) write(path string) error {
	c := strip.Chart{Title: s.title, Background: []string{background}}
	var names []string
	note := func(label string) {
		if label != background && !slices.Contains(names, label) {
			names = append(names, label)
		}
	}
	for _, t := range s.test[:min(len(s.test), mostBlocks)] {
		block := strip.Block{Title: t.name}
		if len(t.labels) > 0 {
			block.Rows = append(block.Rows, strip.FrameRow("ground truth", t.labels, s.fps))
			for _, l := range t.labels {
				note(l)
			}
		}
		for _, pass := range []struct {
			name string
			get  func(string) (*stream, error)
		}{{"before", s.before}, {"after", s.after}} {
			x, err := pass.get(t.name)
			if err != nil {
				return err
			}
			for _, span := range x.spans {
				note(span.Label)
			}
			row := strip.SpanRow(pass.name, x.spans, t.start)
			if len(t.labels) > 0 {
				v, err := score([]truth{t}, pass.get)
				if err != nil {
					return err
				}
				row.Note = fmt.Sprintf("F1@50 %.0f", v.F1At50)
			}
			block.Rows = append(block.Rows, row)
		}
		c.Blocks = append(c.Blocks, block)
	}
	slices.Sort(names)
	var err error
	if c.Labels, err = tas.NewLabels(append([]string{background}, names...)...); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = strip.Render(f, c)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

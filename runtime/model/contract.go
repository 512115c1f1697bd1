package model

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tandem/runtime/bundle"
	"tandem/runtime/ort"
)

// checkContract compares what the models say of their inputs and outputs with the manifest, before any hardware is asked, so
// that what is wrong is said in the manifest's words. Errors wrap bundle.ErrInvalid.
func checkContract(b *bundle.Dir) error {
	in, out, err := interfaceOf(b, b.Extractor.File)
	if err != nil {
		return err
	}
	c := contract{file: b.Extractor.Name}
	im := b.Extractor.Input
	shape := []int{1, im.Height, im.Width, im.Depth()}
	if im.Layout == "NCHW" {
		shape = []int{1, im.Depth(), im.Height, im.Width}
	}
	why := fmt.Sprintf("extractor.input: %dx%d %s %s", im.Width, im.Height, im.Channels, im.Layout)
	c.names("input", in, map[string]string{im.Name: "extractor.input.name"})
	c.names("output", out, map[string]string{b.Extractor.Output: "extractor.output"})
	c.value("input", in, im.Name, why, shape)
	c.value("output", out, b.Extractor.Output, fmt.Sprintf("extractor.dim: %d", b.Extractor.Dim), []int{1, b.Extractor.Dim}, []int{b.Extractor.Dim})
	if c.err != nil {
		return c.err
	}
	if in, out, err = interfaceOf(b, b.Segmenter.File); err != nil {
		return err
	}
	if b.Segmenter.Mode == bundle.Window {
		return windowContract(b, in, out)
	}
	return causalContract(b, in, out)
}

func causalContract(b *bundle.Dir, in, out []ort.Info) error {
	c := contract{file: b.Segmenter.Name}
	seg := b.Segmenter
	ins := map[string]string{seg.Input: "segmenter.input"}
	outs := map[string]string{}
	for i, h := range seg.Heads {
		outs[h.Output] = fmt.Sprintf("segmenter.heads[%d].output", i)
	}
	for i, s := range seg.States {
		ins[s.Input] = fmt.Sprintf("segmenter.states[%d].input", i)
		outs[s.Output] = fmt.Sprintf("segmenter.states[%d].output", i)
	}
	if len(ins) != 1+len(seg.States) || len(outs) != len(seg.Heads)+len(seg.States) {
		return fmt.Errorf("%w: %s: segmenter names an input or output twice", bundle.ErrInvalid, bundle.ManifestFile)
	}
	c.names("input", in, ins)
	c.names("output", out, outs)
	c.value("input", in, seg.Input, fmt.Sprintf("extractor.dim: %d", b.Extractor.Dim), []int{1, 1, b.Extractor.Dim})
	for _, h := range seg.Heads {
		c.classes(out, h.Output, len(b.Labels))
		c.value("output", out, h.Output, fmt.Sprintf("%d labels", len(b.Labels)), []int{1, 1, len(b.Labels)})
	}
	for i, s := range seg.States {
		why := fmt.Sprintf("segmenter.states[%d]: %d taps of %d channels", i, s.Taps, s.Channels)
		c.value("input", in, s.Input, why, []int{1, s.Taps, s.Channels})
		c.value("output", out, s.Output, why, []int{1, 1, s.Channels})
	}
	return c.err
}

// windowContract is of a network over whole sequences, [1, T, …] with any T.
func windowContract(b *bundle.Dir, in, out []ort.Info) error {
	c := contract{file: b.Segmenter.Name}
	seg := b.Segmenter
	c.names("input", in, map[string]string{seg.Input: "segmenter.input"})
	c.names("output", out, map[string]string{seg.Heads[0].Output: "segmenter.heads[0].output"})
	c.classes(out, seg.Heads[0].Output, len(b.Labels))
	n := seg.Window.Frames
	c.value("input", in, seg.Input, fmt.Sprintf("windows of %d, extractor.dim: %d", n, b.Extractor.Dim), []int{1, n, b.Extractor.Dim})
	c.value("output", out, seg.Heads[0].Output, fmt.Sprintf("windows of %d, %d labels", n, len(b.Labels)), []int{1, n, len(b.Labels)})
	return c.err
}

func interfaceOf(b *bundle.Dir, f bundle.File) (in, out []ort.Info, err error) {
	model, err := os.ReadFile(filepath.Join(b.Path, f.Name))
	if err != nil {
		return nil, nil, fmt.Errorf("release %s: %w", b.Release, err)
	}
	if in, out, err = ort.Describe(model); err != nil {
		return nil, nil, fmt.Errorf("release %s: %s: %w", b.Release, f.Name, err)
	}
	return in, out, nil
}

// contract gathers the first thing that is wrong with a model.
type contract struct {
	file string
	err  error
}

func (c *contract) bad(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s: %s", bundle.ErrInvalid, c.file, fmt.Sprintf(format, args...))
	}
}

// names compares names with the manifest's fields that hold them.
func (c *contract) names(what string, model []ort.Info, manifest map[string]string) {
	have := map[string]bool{}
	var extra []string
	for _, m := range model {
		have[m.Name] = true
		if manifest[m.Name] == "" {
			extra = append(extra, m.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(manifest)) {
		switch {
		case have[name]:
		case len(extra) > 0:
			c.bad("%s is %q, which is no %s of the model; it has %s", manifest[name], name, what, strings.Join(extra, ", "))
		default:
			c.bad("%s is %q, which is no %s of the model", manifest[name], name, what)
		}
	}
	if len(extra) > 0 {
		c.bad("it has an %s %s that the manifest does not name", what, extra[0])
	}
}

// value compares type and shape with what the manifest says, which is one of shapes.
func (c *contract) value(what string, model []ort.Info, name, why string, shapes ...[]int) {
	i := slices.IndexFunc(model, func(m ort.Info) bool { return m.Name == name })
	if i < 0 {
		return // told by names
	}
	m := model[i]
	if m.Type != "float32" {
		c.bad("%s %q is %s, expected float32; export the model with float32 %ss", what, name, m.Type, what)
	}
	if !slices.ContainsFunc(shapes, func(s []int) bool { return fits(m.Shape, s) }) {
		c.bad("%s %q has shape %v, the manifest says %v (%s)", what, name, m.Shape, shapes[0], why)
	}
}

// fits reports whether a model that declares a shape, -1 for any size, takes a tensor of another.
func fits(declared, shape []int) bool {
	return slices.EqualFunc(declared, shape, func(d, n int) bool { return d < 0 || d == n })
}

// classes says of a head whose only difference is the number of classes what that means.
func (c *contract) classes(out []ort.Info, name string, labels int) {
	i := slices.IndexFunc(out, func(m ort.Info) bool { return m.Name == name })
	if i < 0 || len(out[i].Shape) != 3 {
		return
	}
	if n := out[i].Shape[2]; n >= 0 && n != labels {
		c.bad("output %q scores %d classes, the manifest has %d labels; segmenter and label list are one release: export them together",
			name, n, labels)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/ort"
)

// providerMends say where each execution provider comes from.
var providerMends = map[string]string{
	ort.TensorRT: "an ONNX Runtime built with TensorRT, CUDA, cuDNN and TensorRT beside it, named by " + ort.LibraryEnv + "; 'nvidia-smi' shows the driver",
	ort.CUDA:     "an ONNX Runtime built with CUDA (onnxruntime-linux-x64-gpu), CUDA and cuDNN beside it, named by " + ort.LibraryEnv + "; 'nvidia-smi' shows the driver",
	ort.OpenVINO: "an ONNX Runtime built with OpenVINO, named by " + ort.LibraryEnv,
	ort.CoreML:   "macOS, and an ONNX Runtime for it, named by " + ort.LibraryEnv,
	ort.QNN:      "an ONNX Runtime built with QNN, and Qualcomm's backend libraries, named by " + ort.LibraryEnv,
	ort.XNNPACK:  "an ONNX Runtime built with XNNPACK, named by " + ort.LibraryEnv,
	ort.CPU:      "make deps",
}

// lookRuntime looks at ONNX Runtime, its execution providers, and the agent's first bundle.
func (d *doctor) lookRuntime(context.Context) []finding {
	lib := finding{Area: "onnxruntime", What: "library", Required: true, State: stateOK}
	if err := ort.Quiet(); err != nil {
		lib.State, lib.Found = stateMissing, oneLineOf(err)
		lib.Mend = "make deps, or " + ort.LibraryEnv + "=FILE of an ONNX Runtime >= " + ort.MinVersion
		return []finding{lib}
	}
	lib.Found = fmt.Sprintf("ONNX Runtime %s, %s", ort.Version(), ort.LibraryPath())
	list := []finding{lib}
	var wanted []string
	require := false
	if d.cfg != nil {
		wanted, require = d.cfg.Runtime.Providers, d.cfg.Runtime.Require
	}
	for _, p := range ort.Providers() {
		at := slices.Index(wanted, p)
		f := finding{Area: "onnxruntime", What: p, State: stateOK, Found: "runs a model"}
		f.Required = p == ort.CPU && len(wanted) == 0 || at == 0 && (require || len(wanted) == 1)
		if err := ort.Available(p, nil); err != nil {
			f.State, f.Found, f.Mend = stateMissing, oneLineOf(err), providerMends[p]
			if at >= 0 && !f.Required {
				f.State = stateWarn
				f.Found += "; the agent goes on to the next of " + strings.Join(wanted, ", ")
			}
		}
		list = append(list, f)
	}
	if d.cfg != nil && d.cfg.Bundle.Dir != "" {
		list = append(list, d.tryBundle())
	}
	return list
}

// tryBundle opens and probes the bundle of the configuration.
func (d *doctor) tryBundle() finding {
	f := finding{Area: "onnxruntime", What: "bundle", Required: true, State: stateOK}
	fail := func(err error) finding {
		f.State, f.Found = stateMissing, oneLineOf(err)
		f.Mend = "name another directory as bundle.dir, or leave it out: the trainer's releases are fetched from the hub"
		if errors.Is(err, ort.ErrProvider) || errors.Is(err, model.ErrProbe) {
			f.Mend = "runtime: {providers: [cpu]} in " + d.path + " runs it on the CPU"
		}
		return f
	}
	b, err := bundle.Read(d.cfg.Bundle.Dir)
	if err != nil {
		return fail(err)
	}
	r := d.cfg.Runtime
	options := map[string]map[string]string{}
	for p, o := range r.ProviderOptions {
		options[p] = maps.Clone(o)
		// Nothing is written: no engines, no profiles.
		maps.DeleteFunc(options[p], func(name, _ string) bool {
			name = strings.ToLower(name)
			return strings.Contains(name, "cache") || strings.Contains(name, "dump") || strings.Contains(name, "profil")
		})
	}
	m, err := model.OpenProbed(b, ort.Options{Threads: r.Threads, Providers: r.Providers, ProviderOptions: options, Require: r.Require})
	if err != nil {
		return fail(err)
	}
	s := m.Selection
	if err := m.Close(); err != nil {
		return fail(err)
	}
	f.Found = fmt.Sprintf("release %s computes its golden outputs: extractor on %s in %v, segmenter on %s in %v", b.Release,
		s.Extractor.Provider, s.Extractor.PerRun.Round(time.Microsecond), s.Segmenter.Provider, s.Segmenter.PerRun.Round(time.Microsecond))
	if fallbacks := s.Fallbacks(); len(fallbacks) > 0 {
		f.State, f.Mend = stateWarn, "see the providers above"
		f.Found += "; " + strings.Join(fallbacks, "; ")
	}
	if s.Late() {
		f.State, f.Mend = stateWarn, "a bundle of a smaller extractor or a lower rate, or faster hardware"
		f.Found += fmt.Sprintf("; that is too slow for %g Hz", b.RateHz)
	}
	return f
}

// oneLineOf is an error's text on one line.
func oneLineOf(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

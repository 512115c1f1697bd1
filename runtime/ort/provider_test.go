package ort

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// absent returns providers that the loaded build doesn't have.
func absent(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, p := range Providers() {
		s, err := Open(squares(), Options{Providers: []string{p}})
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		list = append(list, p)
	}
	if slices.Contains(list, CPU) {
		t.Fatal("the CPU provider cannot be had")
	}
	if len(list) == 0 {
		t.Skip("this build of ONNX Runtime has every provider, and this machine the hardware")
	}
	return list
}

func TestAbsentProviderFallsBackAndSaysWhy(t *testing.T) {
	for _, p := range absent(t) {
		t.Run(p, func(t *testing.T) {
			s := openTest(t, squares(), Options{Providers: []string{p, CPU}})
			if s.Provider() != CPU {
				t.Errorf("provider is %s", s.Provider())
			}
			why := s.Fallbacks()
			if len(why) != 1 || !errors.Is(why[0], ErrProvider) || !strings.Contains(why[0].Error(), `"`+p+`": `) {
				t.Errorf("fallbacks are %v, want one that names %s and its reason", why, p)
			}
			y := make([]float32, 3)
			if err := bindTest(t, s,
				[]Tensor{newTest(t, []int{1, 3}, []float32{1, 2, 3}), newTest(t, nil, []float32{1})},
				[]Tensor{newTest(t, []int{1, 3}, y), newTest(t, nil, []float32{0})}).Run(); err != nil || y[2] != 9 {
				t.Errorf("after the fallback: %v, %v", y, err)
			}
		})
	}
}

func TestProvidersThatAreRequiredOrAlone(t *testing.T) {
	p := absent(t)
	for name, opts := range map[string]Options{
		"required":            {Providers: []string{p[0], CPU}, Require: true},
		"alone":               {Providers: p[:1]},
		"several, all absent": {Providers: p},
		"with options":        {Providers: p[:1], ProviderOptions: map[string]map[string]string{p[0]: {"device_id": "0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(squares(), opts)
			if err == nil {
				t.Fatal("it was opened on", s.Provider(), s.Close())
			}
			if !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), p[0]) {
				t.Errorf("got %v, want ErrProvider that names %s", err, p[0])
			}
		})
	}
}

func TestOptionsThatAreMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		opts Options
		want string
	}{
		"an unknown provider":              {Options{Providers: []string{"cudo", CPU}}, `"cudo": unknown, expected one of tensorrt, cuda`},
		"an unknown provider further down": {Options{Providers: []string{CPU, "gpu"}}, `"gpu": unknown`},
		"options of an unknown provider":   {Options{ProviderOptions: map[string]map[string]string{"Cuda": nil}}, `"Cuda": unknown`},
		"options of the CPU":               {Options{ProviderOptions: map[string]map[string]string{CPU: {"b": "1", "a": "2"}}}, `"cpu": takes no options, got a, b`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Open(squares(), c.opts); !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrProvider with %q", err, c.want)
			}
		})
	}
	if _, err := Open(squares(), Options{Threads: -1}); err == nil || !strings.Contains(err.Error(), "-1 threads") {
		t.Errorf("-1 threads: %v", err)
	}
}

// TestABadModelIsNotTheProvidersFault: falling back would not mend it.
func TestABadModelIsNotTheProvidersFault(t *testing.T) {
	_, err := Open([]byte("junk"), Options{Providers: []string{CUDA, CPU}})
	if !errors.Is(err, ErrModel) || errors.Is(err, ErrProvider) {
		t.Errorf("got %v, want ErrModel alone", err)
	}
}

func TestOptionNames(t *testing.T) {
	for _, p := range Providers() {
		names := OptionNames(p)
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("%s: its options are not sorted, or one is there twice: %v", p, names)
		}
		if p != CPU && len(names) == 0 {
			t.Errorf("%s has no options", p)
		}
		for _, n := range names {
			if err := CheckOptions(p, map[string]string{n: "1"}); err != nil {
				t.Error(err)
			}
		}
	}
	for _, c := range []struct{ provider, option, want string }{
		{CUDA, "trt_fp16_enable", `"cuda": takes no option "trt_fp16_enable", expected one of arena_extend_strategy`},
		{TensorRT, "trt_fp16", `"tensorrt": takes no option "trt_fp16"`},
	} {
		_, err := Open(squares(), Options{
			Providers: []string{c.provider, CPU}, ProviderOptions: map[string]map[string]string{c.provider: {c.option: "1"}},
		})
		if !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want ErrProvider with %q", err, c.want)
		}
	}
}

func TestAvailable(t *testing.T) {
	if err := Available(CPU, nil); err != nil {
		t.Error(err)
	}
	if err := Available("gpu", nil); !errors.Is(err, ErrProvider) {
		t.Errorf("an unknown provider: %v", err)
	}
	for _, p := range absent(t) {
		if err := Available(p, nil); !errors.Is(err, ErrProvider) || !strings.Contains(err.Error(), p) {
			t.Errorf("%s, which is absent: %v", p, err)
		}
	}
}

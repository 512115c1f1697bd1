package ort

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestSessionSaysWhatItTakesAndGives(t *testing.T) {
	s := openTest(t, squares(), Options{})
	if want := []Info{{"x", []int{-1, 3}, "float32"}, {"k", []int{}, "float32"}}; !reflect.DeepEqual(s.Inputs(), want) {
		t.Errorf("inputs %v, want %v", s.Inputs(), want)
	}
	if want := []Info{{"y", []int{-1, 3}, "float32"}, {"s", []int{}, "float32"}}; !reflect.DeepEqual(s.Outputs(), want) {
		t.Errorf("outputs %v, want %v", s.Outputs(), want)
	}
	if s.Provider() != CPU || s.Fallbacks() != nil {
		t.Errorf("provider %s after %v", s.Provider(), s.Fallbacks())
	}
}

// TestRunWritesInPlace: a dynamic dimension takes any size, scalars are tensors of one element, and a second run reads
// what has been written into the same memory meanwhile.
func TestRunWritesInPlace(t *testing.T) {
	s := openTest(t, squares(), Options{})
	for _, n := range []int{1, 4} {
		x, k := make([]float32, n*3), []float32{2}
		y, sum := make([]float32, n*3), make([]float32, 1)
		b := bindTest(t, s,
			[]Tensor{newTest(t, []int{n, 3}, x), newTest(t, nil, k)},
			[]Tensor{newTest(t, []int{n, 3}, y), newTest(t, []int{1}, sum)})
		for round := range 2 {
			var want float32
			for i := range x {
				x[i] = float32(i + round)
				want += 2 * x[i]
			}
			if err := b.Run(); err != nil {
				t.Fatal(err)
			}
			if sum[0] != want {
				t.Errorf("n = %d: sum is %g, want %g", n, sum[0], want)
			}
			for i := range x {
				if y[i] != x[i]*x[i] {
					t.Errorf("n = %d: y[%d] is %g, want %g", n, i, y[i], x[i]*x[i])
				}
			}
		}
	}
}

func TestBindNamesWhatDoesNotFit(t *testing.T) {
	s := openTest(t, squares(), Options{})
	f32 := func(shape ...int) Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return newTest(t, shape, make([]float32, n))
	}
	closed, err := NewTensor(nil, []float32{1})
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	x, k := f32(2, 3), f32()
	for name, c := range map[string]struct {
		in, out []Tensor
		want    string
	}{
		"too few inputs":       {[]Tensor{x}, []Tensor{f32(2, 3), k}, "it has 2 inputs [x float32[-1 3] k float32[]], got 1 tensors"},
		"too many outputs":     {[]Tensor{x, k}, []Tensor{f32(2, 3), k, k}, "2 outputs"},
		"a fixed dimension":    {[]Tensor{f32(2, 4), k}, []Tensor{f32(2, 3), k}, `input "x" has shape [-1 3], got a tensor of [2 4]`},
		"another rank":         {[]Tensor{f32(6), k}, []Tensor{f32(2, 3), k}, `input "x" has shape [-1 3], got a tensor of [6]`},
		"a vector as a scalar": {[]Tensor{x, f32(2)}, []Tensor{f32(2, 3), k}, `input "k" has shape [], got a tensor of [2]`},
		"the output's shape":   {[]Tensor{x, k}, []Tensor{f32(2, 2), k}, `output "y" has shape [-1 3], got a tensor of [2 2]`},
		"the input's type":     {[]Tensor{newTest(t, []int{2, 3}, make([]float64, 6)), k}, []Tensor{f32(2, 3), k}, `input "x" is float32, got a tensor of float64`},
		"the output's type":    {[]Tensor{x, k}, []Tensor{f32(2, 3), newTest(t, nil, []int64{0})}, `output "s" is float32, got a tensor of int64`},
		"no tensor":            {[]Tensor{x, nil}, []Tensor{f32(2, 3), k}, `input "k": its tensor is missing or closed`},
		"a closed tensor":      {[]Tensor{x, k}, []Tensor{f32(2, 3), closed}, `output "s": its tensor is missing or closed`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Bind(c.in, c.out)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// TestRunNamesADynamicMismatch: what only the run can see, dynamic dimensions that contradict one another, is its error.
func TestRunNamesADynamicMismatch(t *testing.T) {
	s := openTest(t, squares(), Options{})
	b := bindTest(t, s,
		[]Tensor{newTest(t, []int{2, 3}, make([]float32, 6)), newTest(t, nil, []float32{1})},
		[]Tensor{newTest(t, []int{5, 3}, make([]float32, 15)), newTest(t, nil, []float32{0})})
	if err := b.Run(); err == nil || !strings.Contains(err.Error(), "run model:") {
		t.Errorf("got %v", err)
	}
}

func TestClosedThings(t *testing.T) {
	s, err := Open(squares(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := []Tensor{newTest(t, []int{1, 3}, make([]float32, 3)), newTest(t, nil, []float32{1})}
	out := []Tensor{newTest(t, []int{1, 3}, make([]float32, 3)), newTest(t, nil, []float32{1})}
	b, err := s.Bind(in, out)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.Run(); err == nil {
		t.Error("a closed binding ran")
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Bind(in, out); err == nil {
		t.Error("a closed session was bound")
	}
}

func TestNewTensorRefuses(t *testing.T) {
	for _, c := range []struct {
		shape []int
		data  []float32
		want  string
	}{
		{[]int{2, 3}, make([]float32, 5), "tensor shape [2 3] needs 6 elements, got 5"},
		{[]int{2, 3}, make([]float32, 7), "tensor shape [2 3] needs 6 elements, got 7"},
		{nil, nil, "tensor shape [1] needs 1 elements, got 0"},
		{[]int{2, 0}, nil, "dimension 1 is 0, expected > 0"},
		{[]int{-1, 3}, make([]float32, 3), "dimension 0 is -1, expected > 0"},
		{[]int{1 << 32, 1 << 32}, nil, "more elements than there is memory"}, // the product wraps around to 0
	} {
		if _, err := NewTensor(c.shape, c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewTensor(%v, %d values) = %v, want an error with %q", c.shape, len(c.data), err, c.want)
		}
	}
}

func TestNewTensorKeepsItsOwnShape(t *testing.T) {
	shape := []int{2, 3}
	x := newTest(t, shape, make([]int32, 6))
	shape[0] = 7
	if got := x.Shape(); got[0] != 2 || got[1] != 3 {
		t.Errorf("the shape became %v", got)
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	s := openTest(t, squares(), Options{})
	b := bindTest(t, s,
		[]Tensor{newTest(t, []int{1, 3}, make([]float32, 3)), newTest(t, nil, []float32{1})},
		[]Tensor{newTest(t, []int{1, 3}, make([]float32, 3)), newTest(t, nil, []float32{1})})
	if n := testing.AllocsPerRun(1000, func() {
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%g allocations a run", n)
	}
}

// TestConcurrentBindings runs one session from several goroutines, each with tensors of its own and another size.
func TestConcurrentBindings(t *testing.T) {
	s := openTest(t, squares(), Options{})
	var g errgroup.Group
	for w := 1; w <= 4; w++ {
		x, y := make([]float32, w*3), make([]float32, w*3)
		b := bindTest(t, s,
			[]Tensor{newTest(t, []int{w, 3}, x), newTest(t, nil, []float32{1})},
			[]Tensor{newTest(t, []int{w, 3}, y), newTest(t, nil, []float32{0})})
		g.Go(func() error {
			for round := range 200 {
				for i := range x {
					x[i] = float32(w*1000 + round + i)
				}
				if err := b.Run(); err != nil {
					return err
				}
				for i := range y {
					if y[i] != x[i]*x[i] {
						return fmt.Errorf("goroutine %d, round %d: y[%d] is %g, want %g", w, round, i, y[i], x[i]*x[i])
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// TestThreads: any number of threads gives the product, to rounding.
func TestThreads(t *testing.T) {
	const n = 96
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, n*n)
	for i := range x {
		x[i] = rng.Float32() - 0.5
	}
	want := make([]float64, n*n)
	for i := range n {
		for j := range n {
			for k := range n {
				want[i*n+j] += float64(x[i*n+k]) * float64(x[k*n+j])
			}
		}
	}
	for _, threads := range []int{0, 1, 3} {
		s := openTest(t, product(), Options{Threads: threads})
		y := make([]float32, n*n)
		in := newTest(t, []int{n, n}, x)
		if err := bindTest(t, s, []Tensor{in, in}, []Tensor{newTest(t, []int{n, n}, y)}).Run(); err != nil {
			t.Fatal(err)
		}
		for i := range y {
			if math.Abs(float64(y[i])-want[i]) > 1e-4 {
				t.Fatalf("%d threads: element %d is %g, want %g", threads, i, y[i], want[i])
			}
		}
	}
}

// TestDenormals: the smallest numbers do not depend on which thread computes them.
func TestDenormals(t *testing.T) {
	const n = 1 << 16
	x, y := make([]float32, n*3), make([]float32, n*3)
	for i := range x {
		x[i] = 1e-20
	}
	s := openTest(t, squares(), Options{Threads: 3})
	b := bindTest(t, s,
		[]Tensor{newTest(t, []int{n, 3}, x), newTest(t, nil, []float32{1})},
		[]Tensor{newTest(t, []int{n, 3}, y), newTest(t, nil, []float32{0})})
	for range 10 {
		clear(y)
		if err := b.Run(); err != nil {
			t.Fatal(err)
		}
		for i, v := range y {
			if v != x[i]*x[i] {
				t.Fatalf("element %d is %g, want %g", i, v, x[i]*x[i])
			}
		}
	}
}

// TestUnoptimizedGivesTheSame: the graph as written and the fused one agree.
func TestUnoptimizedGivesTheSame(t *testing.T) {
	var got [2][3]float32
	for i, plain := range []bool{false, true} {
		s := openTest(t, squares(), Options{DisableOptimization: plain})
		if err := bindTest(t, s,
			[]Tensor{newTest(t, []int{1, 3}, []float32{1, 2, 3}), newTest(t, nil, []float32{1})},
			[]Tensor{newTest(t, []int{1, 3}, got[i][:]), newTest(t, nil, []float32{0})}).Run(); err != nil {
			t.Fatal(err)
		}
	}
	if want := [3]float32{1, 4, 9}; got[0] != want || got[1] != want {
		t.Errorf("optimized %v, as written %v, want %v", got[0], got[1], want)
	}
}

func TestOpenRefusesBadModels(t *testing.T) {
	whole := squares()
	var unknown testModel
	unknown.in(value("x", 1))
	unknown.node("NoSuchOperator", []string{"x"}, "y")
	unknown.out(value("y", 1))
	var sequence testModel
	sequence.in(value("x", 1))
	sequence.node("SequenceConstruct", []string{"x"}, "y")
	sequence.out(join(text(1, "y"), field(2, field(4, field(1, field(1, integer(1, isFloat)))))))
	for name, c := range map[string]struct {
		model []byte
		want  string
	}{
		"empty":               {nil, "it is empty (0 bytes)"},
		"garbage":             {[]byte("this is no model"), ""},
		"cut off":             {whole[:len(whole)/2], ""},
		"an unknown operator": {unknown.bytes(), "NoSuchOperator"},
		"not a tensor":        {sequence.bytes(), `"y" is a`},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(c.model, Options{})
			if err == nil {
				t.Fatal("it was opened", s.Close())
			}
			if !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want ErrModel with %q", err, c.want)
			}
		})
	}
}

func TestOpenFileNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	if _, err := OpenFile(path, Options{}); !errors.Is(err, ErrModel) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path, Options{}); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
	if err := os.WriteFile(path, squares(), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkRun(b *testing.B) {
	s := openTest(b, squares(), Options{})
	bind := bindTest(b, s,
		[]Tensor{newTest(b, []int{1, 3}, make([]float32, 3)), newTest(b, nil, []float32{1})},
		[]Tensor{newTest(b, []int{1, 3}, make([]float32, 3)), newTest(b, nil, []float32{1})})
	b.ReportAllocs()
	for b.Loop() {
		if err := bind.Run(); err != nil {
			b.Fatal(err)
		}
	}
}

package ort

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	onnx "github.com/yalue/onnxruntime_go"
)

// ErrModel is wrapped by errors about a model: not ONNX, an operator that is unknown, other shapes than expected.
var ErrModel = errors.New("ONNX model")

// Info describes an input or output of a model.
type Info struct {
	Name  string
	Shape []int  // -1 where the dimension is dynamic
	Type  string // "float32", "int64", …
}

func (i Info) String() string { return fmt.Sprintf("%s %s%v", i.Name, i.Type, i.Shape) }

// Options say how a session runs. The zero value runs on one CPU thread, which for the small networks of a rig is
// both fastest and kindest to the other cameras of the process.
type Options struct {
	// Threads is the number of threads that one operator of one run uses, the calling one included; 0 means 1. With more
	// than 1, the session has threads of its own, which spin between operators and share each Run among them.
	Threads int
	// Providers are execution providers in order of preference; empty means ["cpu"]. A name that is none of Providers()
	// is an error in any place, since it is a mistake of the configuration and not of the machine.
	Providers []string
	// ProviderOptions are passed to the provider of that name as they are. A name that is none of OptionNames is an error.
	ProviderOptions map[string]map[string]string
	// Require makes it an error when the first provider cannot be had, instead of going on to the next.
	Require bool
	// DisableOptimization opens the graph as it is written, to compare with or to find a wrong fusion.
	DisableOptimization bool
}

// Session is an open model. It may be run by several goroutines, each with a Binding of its own.
type Session struct {
	s         *onnx.DynamicAdvancedSession
	users     *atomic.Int32 // sessions that share s
	in, out   []Info
	provider  string
	fallbacks []error
}

// OpenFile opens the ONNX model in a file. See Open.
func OpenFile(path string, opts Options) (*Session, error) {
	model, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	s, err := Open(model, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Open loads a serialised ONNX model with the first provider of opts.Providers that can be had. Provider and Fallbacks
// tell which one that was and why the ones before it were not used. The caller closes the session.
func Open(model []byte, opts Options) (*Session, error) {
	if err := Init(""); err != nil {
		return nil, err
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	if len(model) == 0 {
		return nil, fmt.Errorf("%w: it is empty (0 bytes)", ErrModel)
	}
	s := &Session{users: new(atomic.Int32)}
	s.users.Add(1)
	var err error
	if s.in, s.out, err = describe(model); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	providers := opts.Providers
	if len(providers) == 0 {
		providers = []string{CPU}
	}
	for _, p := range providers {
		if s.s, err = open(model, p, s.in, s.out, opts); err == nil {
			s.provider = p
			handles.models.Add(1)
			return s, nil
		}
		if opts.Require || !errors.Is(err, ErrProvider) {
			return nil, err
		}
		s.fallbacks = append(s.fallbacks, err)
	}
	return nil, fmt.Errorf("no execution provider of %v can be had: %w", providers, errors.Join(s.fallbacks...))
}

// check refuses what no machine could do.
func (o Options) check() error {
	if o.Threads < 0 {
		return fmt.Errorf("session: %d threads, expected 0 (for 1) or more", o.Threads)
	}
	for _, p := range slices.Concat(o.Providers, slices.Sorted(maps.Keys(o.ProviderOptions))) {
		if !slices.Contains(Providers(), p) {
			return fmt.Errorf("%w %q: unknown, expected one of %s", ErrProvider, p, strings.Join(Providers(), ", "))
		}
	}
	for _, p := range slices.Sorted(maps.Keys(o.ProviderOptions)) {
		if err := CheckOptions(p, o.ProviderOptions[p]); err != nil {
			return err
		}
	}
	return nil
}

func open(model []byte, provider string, in, out []Info, opts Options) (*onnx.DynamicAdvancedSession, error) {
	so, err := onnx.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	defer func() { _ = so.Destroy() }() // it has been copied into the session or is of no use
	level := onnx.GraphOptimizationLevel(onnx.GraphOptimizationLevelEnableAll)
	if opts.DisableOptimization {
		level = onnx.GraphOptimizationLevelDisableAll
	}
	if err := errors.Join(
		so.SetIntraOpNumThreads(max(opts.Threads, 1)),
		so.SetInterOpNumThreads(1),
		so.SetGraphOptimizationLevel(level),
		// session.set_denormal_as_zero stays off: it reaches the pool's threads, but not the one that calls Run, so that
		// results would depend on which of them computed what.
		// Spinning threads would take the cores of the capture and decode threads.
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", spinning(opts)),
		so.AddSessionConfigEntry("session.intra_op.spin_duration_us", spinMicroseconds),
	); err != nil {
		return nil, fmt.Errorf("session options: %w", err)
	}
	if err := appendProvider(so, provider, opts.ProviderOptions[provider]); err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrProvider, provider, err)
	}
	s, err := onnx.NewDynamicAdvancedSessionWithONNXData(model, names(in), names(out), so)
	if err != nil && provider != CPU {
		return nil, fmt.Errorf("%w %q: %w", ErrProvider, provider, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return s, nil
}

// spinMicroseconds is how long a thread spins for work before it sleeps: longer than most operators that run on one thread,
// and shorter than ONNX Runtime's own choice. A thread that waits for one which has lost its core to another process should
// soon leave it its own. Versions that don't know the entry ignore it.
const spinMicroseconds = "200"

// spinning lets threads spin only where several work on one operator: in training, which owns the machine.
func spinning(opts Options) string {
	if opts.Threads > 1 {
		return "1"
	}
	return "0"
}

// Inputs returns the inputs in the model's order. The slice must not be changed.
func (s *Session) Inputs() []Info { return s.in }

// Outputs returns the outputs in the model's order. The slice must not be changed.
func (s *Session) Outputs() []Info { return s.out }

// Provider returns the execution provider that was opened. Single operators that it lacks run on the CPU.
func (s *Session) Provider() string { return s.provider }

// Fallbacks returns why each provider that was asked for before Provider could not be had.
func (s *Session) Fallbacks() []error { return s.fallbacks }

// Share returns another session on the same loaded model, which costs no memory. The model is freed when the last of them is
// closed. A closed session can't be shared.
func (s *Session) Share() (*Session, error) {
	if s.s == nil {
		return nil, errors.New("share a session: it is closed")
	}
	other := *s
	s.users.Add(1)
	return &other, nil
}

// Close frees the session. Its bindings must be closed before. Closing again does nothing.
func (s *Session) Close() error {
	if s.s == nil {
		return nil
	}
	var err error
	if s.users.Add(-1) == 0 {
		handles.models.Add(-1)
		err = s.s.Destroy()
	}
	s.s = nil
	return err
}

func infos(list []onnx.InputOutputInfo) ([]Info, error) {
	out := make([]Info, len(list))
	for i, x := range list {
		if x.OrtValueType != onnx.ONNXTypeTensor {
			return nil, fmt.Errorf("%q is a %s, expected a tensor", x.Name, x.OrtValueType)
		}
		out[i] = Info{Name: x.Name, Type: typeName(x.DataType), Shape: make([]int, len(x.Dimensions))}
		for j, d := range x.Dimensions {
			out[i].Shape[j] = int(d)
		}
	}
	return out, nil
}

func names(list []Info) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = x.Name
	}
	return out
}

func typeName(t onnx.TensorElementDataType) string {
	switch t {
	case onnx.TensorElementDataTypeFloat:
		return "float32"
	case onnx.TensorElementDataTypeDouble:
		return "float64"
	case onnx.TensorElementDataTypeFloat16:
		return "float16"
	case onnx.TensorElementDataTypeInt64:
		return "int64"
	case onnx.TensorElementDataTypeInt32:
		return "int32"
	case onnx.TensorElementDataTypeUint8:
		return "uint8"
	case onnx.TensorElementDataTypeInt8:
		return "int8"
	case onnx.TensorElementDataTypeBool:
		return "bool"
	}
	return t.String()
}

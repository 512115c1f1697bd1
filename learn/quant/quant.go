// Package quant makes int8 networks of float32 ones without training: static quantization in the QDQ form, where QuantizeLinear and
// DequantizeLinear stand around each convolution and matrix product and the runtime fuses them into one integer operator.
//
// Weights are symmetric int8 with a scale a channel, activations uint8 with one scale each, biases int32: Jacob et al.,
// "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference" (CVPR 2018), sections 2.1 to 2.4; a
// scale a channel as in Krishnamoorthi (arXiv 1806.08342), section 3.1.
package quant

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"tandem/learn/onnx"
)

// ErrNothing is returned for a network without a part that can be quantized.
var ErrNothing = errors.New("nothing to quantize: no Conv, Gemm or MatMul with constant float32 weights")

// Ranges is the name of the output of an instrumented network.
const Ranges = "quant.ranges"

// leastWeights leaves constant matrices alone that are smaller: they cost nothing.
const leastWeights = 64

// Range is what an activation's values lie in.
type Range struct{ Low, High float32 }

// site is a node that is quantized.
type site struct {
	node   *onnx.Node
	weight *onnx.Tensor
	values []float32
	axis   int    // of the weights' output channels
	out    string // the activation behind it and its Relu, "" where the network's output stays float32
	relu   *onnx.Node
}

// sites finds what can be quantized.
func sites(m *onnx.Model) []site {
	readers := map[string][]*onnx.Node{}
	for _, n := range m.Nodes {
		for _, in := range n.In {
			readers[in] = append(readers[in], n)
		}
	}
	var list []site
	for _, n := range m.Nodes {
		if len(n.In) < 2 || n.Domain != "" || m.Initializer(n.In[0]) != nil {
			continue
		}
		s := site{node: n, weight: m.Initializer(n.In[1])}
		if s.weight == nil || s.weight.Len() < leastWeights {
			continue
		}
		switch n.Op {
		case "Conv":
		case "Gemm":
			if n.Int("transA", 0) != 0 || n.Float("alpha", 1) != 1 || n.Float("beta", 1) != 1 || len(s.weight.Dims) != 2 {
				continue
			}
			s.axis = 1 - n.Int("transB", 0)
		case "MatMul":
			if len(s.weight.Dims) != 2 {
				continue
			}
			s.axis = 1
		default:
			continue
		}
		var err error
		if s.values, err = s.weight.Floats(); err != nil {
			continue
		}
		if len(n.In) > 2 {
			b := m.Initializer(n.In[2])
			if b == nil || len(b.Dims) != 1 || b.Dims[0] != s.weight.Dims[s.axis] {
				continue
			}
		}
		s.out = n.Out[0]
		if r := readers[s.out]; len(r) == 1 && r[0].Op == "Relu" && !slices.Contains(m.Outputs, s.out) {
			s.relu, s.out = r[0], r[0].Out[0]
		}
		if slices.Contains(m.Outputs, s.out) {
			s.out = ""
		}
		list = append(list, s)
	}
	return list
}

// points are the activations whose ranges matter.
func points(list []site) []string {
	var names []string
	for _, s := range list {
		for _, name := range []string{s.node.In[0], s.out} {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Instrument returns the network with one more output, Ranges [2·n] float32: the least and the greatest value of each of the n
// activations whose names are returned. alone leaves the network's own outputs out.
func Instrument(model []byte, alone bool) ([]byte, []string, error) {
	m, err := onnx.Parse(model)
	if err != nil {
		return nil, nil, err
	}
	names := points(sites(m))
	if len(names) == 0 {
		return nil, nil, ErrNothing
	}
	one := make([]byte, 8)
	one[0] = 1
	m.Initializers = append(m.Initializers, &onnx.Tensor{Name: "quant.one", Type: onnx.Int64, Dims: []int{1}, Data: one})
	join := &onnx.Node{Name: "quant.join", Op: "Concat", Out: []string{Ranges}}
	for i, name := range names {
		for _, op := range []string{"ReduceMin", "ReduceMax"} {
			scalar := fmt.Sprintf("quant.%s.%d", op, i)
			m.Nodes = append(m.Nodes,
				(&onnx.Node{Name: scalar, Op: op, In: []string{name}, Out: []string{scalar}}).SetInt("keepdims", 0),
				&onnx.Node{Name: scalar + ".row", Op: "Reshape", In: []string{scalar, "quant.one"}, Out: []string{scalar + ".row"}})
			join.In = append(join.In, scalar+".row")
		}
	}
	m.Nodes = append(m.Nodes, join.SetInt("axis", 0))
	if alone {
		m.DropOutputs()
	}
	m.AddOutput(Ranges, 2*len(names))
	return m.Bytes(), names, nil
}

// Observer gathers ranges over many runs.
type Observer struct {
	names     []string
	low, high [][]float32 // per activation and run
}

// NewObserver returns an observer of activations.
func NewObserver(names []string) *Observer {
	return &Observer{names: names, low: make([][]float32, len(names)), high: make([][]float32, len(names))}
}

// Add takes what one run put into Ranges. Values that are not finite are an error.
func (o *Observer) Add(ranges []float32) error {
	if len(ranges) != 2*len(o.names) {
		return fmt.Errorf("%d ranges, expected %d", len(ranges), 2*len(o.names))
	}
	for i, name := range o.names {
		low, high := ranges[2*i], ranges[2*i+1]
		if d := float64(high) - float64(low); !(d >= 0) || math.IsInf(d, 0) {
			return fmt.Errorf("%s lies between %v and %v, expected finite numbers", name, low, high)
		}
		o.low[i], o.high[i] = append(o.low[i], low), append(o.high[i], high)
	}
	return nil
}

// Ranges returns for each activation the range that share of all runs keeps within on each side: 1 is from the least to the
// greatest value ever, less lets rare extremes be cut off so that common values are told apart more finely.
func (o *Observer) Ranges(share float64) map[string]Range {
	out := map[string]Range{}
	for i, name := range o.names {
		low, high := slices.Sorted(slices.Values(o.low[i])), slices.Sorted(slices.Values(o.high[i]))
		if len(low) == 0 {
			continue
		}
		k := int(math.Round((1 - share) * float64(len(low)-1)))
		out[name] = Range{Low: low[k], High: high[len(high)-1-k]}
	}
	return out
}

// Options say how. The zero value is for processors of any kind.
type Options struct {
	// EightBits uses all of int8 for weights. Without it they have 7 bits: x86 processors without VNNI add two products of 8 bits
	// into 16, which can saturate.
	EightBits bool
}

// Quantize returns the network in QDQ form and how many nodes were quantized. Every activation of Instrument needs a range.
func Quantize(model []byte, ranges map[string]Range, o Options) ([]byte, int, error) {
	m, err := onnx.Parse(model)
	if err != nil {
		return nil, 0, err
	}
	list := sites(m)
	if len(list) == 0 {
		return nil, 0, ErrNothing
	}
	w := &writer{m: m, ranges: ranges, most: 63, done: map[string]string{}, scale: map[string]float32{}}
	if o.EightBits {
		w.most = 127
	}
	bySite := map[*onnx.Node]*site{}
	relus := map[*onnx.Node]*site{}
	for i := range list {
		bySite[list[i].node] = &list[i]
		if list[i].relu != nil {
			relus[list[i].relu] = &list[i]
		}
	}
	for _, n := range m.Nodes {
		s := bySite[n]
		if s != nil {
			if err := w.inputs(s); err != nil {
				return nil, 0, err
			}
		}
		w.nodes = append(w.nodes, n)
		if s != nil && s.relu == nil && s.out != "" {
			err = w.output(n)
		} else if r := relus[n]; r != nil && r.out != "" {
			err = w.output(n)
		}
		if err != nil {
			return nil, 0, err
		}
	}
	m.Nodes = w.nodes
	used := map[string]bool{}
	for _, n := range m.Nodes {
		for _, in := range n.In {
			used[in] = true
		}
	}
	m.Initializers = slices.DeleteFunc(m.Initializers, func(t *onnx.Tensor) bool { return !used[t.Name] })
	return m.Bytes(), len(list), nil
}

// writer puts quantization into a network.
type writer struct {
	m      *onnx.Model
	nodes  []*onnx.Node
	ranges map[string]Range
	most   float64            // greatest whole number of a weight
	done   map[string]string  // what a value is called behind its pair
	scale  map[string]float32 // of an activation
}

func (w *writer) add(t *onnx.Tensor) string {
	w.m.Initializers = append(w.m.Initializers, t)
	return t.Name
}

// pair writes QuantizeLinear and DequantizeLinear from one value to another.
func (w *writer) pair(name, from, to string) error {
	r, ok := w.ranges[name]
	if !ok {
		return fmt.Errorf("quantize: %s was never observed", name)
	}
	// 0 must be exact: padding and Relu make it.
	low, high := min(float64(r.Low), 0), max(float64(r.High), 0)
	scale := (high - low) / 255
	if !(scale > 1e-12) {
		scale = 1
	}
	w.scale[to] = float32(scale)
	s := w.add(onnx.FloatTensor(name+".scale", []float32{float32(scale)}))
	s0 := w.m.Initializers[len(w.m.Initializers)-1]
	s0.Dims = []int{}
	z := w.add(&onnx.Tensor{Name: name + ".zero", Type: onnx.Uint8, Dims: []int{}, Data: []byte{byte(math.Round(-low / scale))}})
	w.nodes = append(w.nodes,
		&onnx.Node{Name: name + ".quantize", Op: "QuantizeLinear", In: []string{from, s, z}, Out: []string{name + ".q"}},
		&onnx.Node{Name: name + ".dequantize", Op: "DequantizeLinear", In: []string{name + ".q", s, z}, Out: []string{to}})
	w.done[name] = to
	return nil
}

// output quantizes what a node gives; who reads it need not change.
func (w *writer) output(n *onnx.Node) error {
	name := n.Out[0]
	n.Out[0] = name + ".float"
	w.scale[name] = 0
	return w.pair(name, n.Out[0], name)
}

// inputs quantizes what a node reads.
func (w *writer) inputs(s *site) error {
	n := s.node
	x := n.In[0]
	if w.done[x] == "" {
		if err := w.pair(x, x, x+".dq"); err != nil {
			return err
		}
	}
	n.In[0] = w.done[x]
	scales := w.weights(s, n.Out[0]+".weights")
	if len(n.In) > 2 {
		b, err := w.m.Initializer(n.In[2]).Floats()
		if err != nil {
			return err
		}
		w.bias(s, b, w.scale[n.In[0]], scales)
	}
	return nil
}

// weights writes a node's weights as int8 and returns the scale of each channel.
func (w *writer) weights(s *site, name string) []float32 {
	channels, inner := s.weight.Dims[s.axis], 1
	for _, d := range s.weight.Dims[s.axis+1:] {
		inner *= d
	}
	scales := make([]float32, channels)
	for i, v := range s.values {
		c := i / inner % channels
		scales[c] = max(scales[c], float32(math.Abs(float64(v))/w.most))
	}
	for c := range scales {
		if !(scales[c] > 1e-12) {
			scales[c] = 1
		}
	}
	data := make([]byte, len(s.values))
	for i, v := range s.values {
		q := math.Round(float64(v) / float64(scales[i/inner%channels]))
		data[i] = byte(int8(max(-w.most, min(w.most, q))))
	}
	q := w.add(&onnx.Tensor{Name: name + ".q", Type: onnx.Int8, Dims: s.weight.Dims, Data: data})
	k := w.add(onnx.FloatTensor(name+".scale", scales, channels))
	z := w.add(&onnx.Tensor{Name: name + ".zero", Type: onnx.Int8, Dims: []int{channels}, Data: make([]byte, channels)})
	d := &onnx.Node{Name: name + ".dequantize", Op: "DequantizeLinear", In: []string{q, k, z}, Out: []string{name + ".dq"}}
	w.nodes = append(w.nodes, d.SetInt("axis", s.axis))
	s.node.In[1] = d.Out[0]
	return scales
}

// bias writes a node's bias as int32 in units of what its products are in.
func (w *writer) bias(s *site, b []float32, input float32, scales []float32) {
	name := s.node.Out[0] + ".bias"
	units := make([]float32, len(b))
	var data []byte
	for c, v := range b {
		units[c] = input * scales[c]
		q := math.Round(float64(v) / float64(units[c]))
		data = binary.LittleEndian.AppendUint32(data, uint32(int32(max(math.MinInt32, min(math.MaxInt32, q)))))
	}
	q := w.add(&onnx.Tensor{Name: name + ".q", Type: onnx.Int32, Dims: []int{len(b)}, Data: data})
	k := w.add(onnx.FloatTensor(name+".scale", units, len(b)))
	z := w.add(&onnx.Tensor{Name: name + ".zero", Type: onnx.Int32, Dims: []int{len(b)}, Data: make([]byte, 4*len(b))})
	d := &onnx.Node{Name: name + ".dequantize", Op: "DequantizeLinear", In: []string{q, k, z}, Out: []string{name + ".dq"}}
	w.nodes = append(w.nodes, d.SetInt("axis", 0))
	s.node.In[2] = d.Out[0]
}

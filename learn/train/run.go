package train

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"tandem/learn/graph"
	"tandem/learn/nn"
	"tandem/learn/optim"
	"tandem/runtime/ort"
)

// run is an open training graph for a fixed number of rows and frames. Its parameters and gradients are the trainer's
// flat vectors, its data inputs buffers of its own.
type run struct {
	rows, frames int
	fields       []nn.Field
	masks        []mask
	float        map[string][]float32
	labels       map[string][]int64
	weights      []float32 // of frames; nil if the loss takes none
	present      []float32 // likewise
	loss         []float32
	stats        []optim.Range // of the buffers that batch normalisations measure

	session *ort.Session
	binding *ort.Binding
	tensors []ort.Tensor
}

type mask struct {
	rate float64
	data []float32
}

// shape tells the training graphs of one network apart.
type shape struct {
	frames int
	padded bool // sequences may be shorter, and the network cares
}

// open traces the loss, differentiates it and opens a session.
func (t *Trainer) open(key shape) (*run, error) {
	p, rows, frames := t.params, t.cfg.Rows, key.frames
	b := nn.NewTrain(p, rows, frames)
	b.Padded = key.padded
	loss := t.define(b)
	names, err := b.Gradients(loss)
	if err != nil {
		return nil, err
	}
	stats := b.Statistics()
	b.Output("loss", b.Reshape(loss, 1))
	model, err := b.Model()
	if err != nil {
		return nil, err
	}
	r := &run{
		rows: rows, frames: frames,
		fields: b.Fields(),
		float:  map[string][]float32{},
		labels: map[string][]int64{},
		loss:   make([]float32, 1),
	}
	if r.session, err = ort.Open(model, t.cfg.Session); err != nil {
		return nil, err
	}
	memory := map[string][]float32{"loss": r.loss}
	for _, q := range p.List() {
		lo, hi := q.Range()
		if !q.Trained {
			memory[q.Name] = p.Buffers[lo:hi]
			if out, ok := stats[q.Name]; ok {
				memory[out] = t.stats.batch[lo:hi]
				r.stats = append(r.stats, optim.Range{Lo: lo, Hi: hi})
			}
			continue
		}
		memory[q.Name] = p.Weights[lo:hi]
		if out, ok := names[q.Name]; ok {
			memory[out] = t.grads[lo:hi]
		}
	}
	if err := r.bind(b, memory); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// bind makes tensors of memory and of new buffers for the rest, in the session's order.
func (r *run) bind(b *nn.Build, memory map[string][]float32) error {
	for _, m := range b.Masks() {
		data := make([]float32, size(m.Shape))
		memory[m.Input] = data
		r.masks = append(r.masks, mask{m.Rate, data})
	}
	declared := map[string]*graph.Tensor{}
	for _, t := range b.Inputs() {
		declared[t.Name()] = t
	}
	var in, out []ort.Tensor
	for _, i := range r.session.Inputs() {
		t, err := r.tensor(i, declared[i.Name], memory)
		if err != nil {
			return err
		}
		in = append(in, t)
	}
	for _, o := range r.session.Outputs() {
		t, err := ort.NewTensor(o.Shape, memory[o.Name])
		if err != nil {
			return fmt.Errorf("output %q: %w", o.Name, err)
		}
		r.tensors = append(r.tensors, t)
		out = append(out, t)
	}
	var err error
	r.binding, err = r.session.Bind(in, out)
	return err
}

func (r *run) tensor(i ort.Info, declared *graph.Tensor, memory map[string][]float32) (ort.Tensor, error) {
	var t ort.Tensor
	var err error
	if declared != nil && declared.DType() == graph.Int64 {
		r.labels[i.Name] = make([]int64, size(i.Shape))
		t, err = ort.NewTensor(i.Shape, r.labels[i.Name])
	} else {
		data, ok := memory[i.Name]
		if !ok {
			data = make([]float32, size(i.Shape))
			switch i.Name {
			case nn.WeightsField:
				r.weights = data
			case nn.PresentField:
				r.present = data
			default:
				r.float[i.Name] = data
			}
		}
		t, err = ort.NewTensor(i.Shape, data)
	}
	if err != nil {
		return nil, fmt.Errorf("input %q: %w", i.Name, err)
	}
	r.tensors = append(r.tensors, t)
	return t, nil
}

// fill copies samples into the rows, scales their weights by share and clears what they leave over.
func (r *run) fill(batch []*Sample, share float64, pcg *rand.PCG) {
	for _, f := range r.fields {
		row := r.frames * f.Width
		for i := range r.rows {
			var n int
			if f.Classes > 0 {
				dst := r.labels[f.Name][i*row : (i+1)*row]
				if i < len(batch) {
					n = copy(dst, batch[i].Labels[f.Name])
				}
				clear(dst[n:])
				continue
			}
			dst := r.float[f.Name][i*row : (i+1)*row]
			if i < len(batch) {
				n = copy(dst, batch[i].Float[f.Name])
			}
			clear(dst[n:])
		}
	}
	clear(r.weights)
	clear(r.present)
	for i, s := range batch {
		if r.weights != nil {
			s.share(r.weights[i*r.frames:][:s.Frames], share)
		}
		if r.present != nil {
			for j := range s.Frames {
				r.present[i*r.frames+j] = 1
			}
		}
	}
	for _, m := range r.masks {
		drop(m.data, m.rate, pcg)
	}
}

// drop fills a dropout mask. Four elements share a random number, since 16 bits resolve the rate to 0.002 %, and no
// element costs a branch, which the processor could only guess.
func drop(dst []float32, rate float64, pcg *rand.PCG) {
	limit := uint64(rate * (1 << 16))
	values := [2]float32{float32(1 / (1 - rate)), 0}
	for len(dst) >= 4 {
		bits := pcg.Uint64()
		dst[0] = values[(bits&0xffff-limit)>>63]
		dst[1] = values[(bits>>16&0xffff-limit)>>63]
		dst[2] = values[(bits>>32&0xffff-limit)>>63]
		dst[3] = values[(bits>>48-limit)>>63]
		dst = dst[4:]
	}
	for i, bits := 0, pcg.Uint64(); i < len(dst); i, bits = i+1, bits>>16 {
		dst[i] = values[(bits&0xffff-limit)>>63]
	}
}

func (r *run) close() error {
	var errs []error
	if r.binding != nil {
		errs = append(errs, r.binding.Close())
	}
	for _, t := range r.tensors {
		errs = append(errs, t.Close())
	}
	if r.session != nil {
		errs = append(errs, r.session.Close())
	}
	return errors.Join(errs...)
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

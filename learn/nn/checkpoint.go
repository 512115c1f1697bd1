package nn

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// ErrCheckpoint is wrapped by errors about checkpoint files.
var ErrCheckpoint = errors.New("checkpoint")

// Checkpoint is a set of named float32 tensors with metadata. Its file form is
//
//	8 bytes  "TANDEMCK"
//	4 bytes  format version, 1
//	4 bytes  length of the header
//	header   JSON: {"meta": {…}, "tensors": [{"name": …, "shape": […]}, …]}
//	values   of the tensors in the header's order, float32
//	32 bytes SHA-256 of everything before
//
// with little-endian numbers. A reader refuses a file that differs from this in any byte.
type Checkpoint struct {
	Meta    map[string]string
	Tensors []CheckpointTensor
}

// CheckpointTensor is one tensor of a Checkpoint, its data row-major.
type CheckpointTensor struct {
	Name  string    `json:"name"`
	Shape []int     `json:"shape"`
	Data  []float32 `json:"-"`
}

type checkpointHeader struct {
	Meta    map[string]string  `json:"meta"`
	Tensors []CheckpointTensor `json:"tensors"`
}

const (
	checkpointMagic   = "TANDEMCK"
	checkpointVersion = 1
	checkpointFixed   = len(checkpointMagic) + 8
)

// Encode returns the file form.
func (c Checkpoint) Encode() ([]byte, error) {
	meta := c.Meta
	if meta == nil {
		meta = map[string]string{}
	}
	header, err := json.Marshal(checkpointHeader{meta, c.Tensors})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	var out []byte
	out = append(out, checkpointMagic...)
	out = binary.LittleEndian.AppendUint32(out, checkpointVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(header)))
	out = append(out, header...)
	for _, t := range c.Tensors {
		if n, ok := elements(t.Shape); !ok || n != len(t.Data) {
			return nil, fmt.Errorf("%w: tensor %q of shape %v has %d values", ErrCheckpoint, t.Name, t.Shape, len(t.Data))
		}
		for _, v := range t.Data {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// DecodeCheckpoint reads the file form. It checks the hash before anything else that could mislead, and that all
// values are finite.
func DecodeCheckpoint(data []byte) (Checkpoint, error) {
	fail := func(format string, args ...any) (Checkpoint, error) {
		return Checkpoint{}, fmt.Errorf("%w: %s", ErrCheckpoint, fmt.Sprintf(format, args...))
	}
	if len(data) < checkpointFixed+sha256.Size || string(data[:len(checkpointMagic)]) != checkpointMagic {
		return fail("not a checkpoint file (%d bytes that do not begin with %q)", len(data), checkpointMagic)
	}
	if v := binary.LittleEndian.Uint32(data[len(checkpointMagic):]); v != checkpointVersion {
		return fail("format version %d, this program reads %d", v, checkpointVersion)
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if want := sha256.Sum256(body); !bytes.Equal(want[:], sum) {
		return fail("the file is damaged: its SHA-256 is %x, it should be %x", want[:8], sum[:8])
	}
	n := int64(binary.LittleEndian.Uint32(data[len(checkpointMagic)+4:]))
	rest := body[checkpointFixed:]
	if n > int64(len(rest)) {
		return fail("the header has %d bytes, the file only %d", n, len(rest))
	}
	var header checkpointHeader
	dec := json.NewDecoder(bytes.NewReader(rest[:n]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&header); err != nil {
		return fail("header: %v", err)
	}
	values := rest[n:]
	seen := map[string]bool{}
	for i := range header.Tensors {
		t := &header.Tensors[i]
		size, ok := elements(t.Shape)
		if !ok || size > len(values)/4 || seen[t.Name] {
			return fail("tensor %q of shape %v is there twice or does not fit into the file", t.Name, t.Shape)
		}
		seen[t.Name] = true
		t.Data = make([]float32, size)
		for j := range t.Data {
			t.Data[j] = math.Float32frombits(binary.LittleEndian.Uint32(values[4*j:]))
			if !finite(t.Data[j]) {
				return fail("value %d of tensor %q is %g", j, t.Name, t.Data[j])
			}
		}
		values = values[4*size:]
	}
	if len(values) != 0 {
		return fail("%d bytes are left over behind the last tensor", len(values))
	}
	return Checkpoint(header), nil
}

// elements multiplies dimensions, false if one is not positive or the product is absurd.
func elements(shape []int) (int, bool) {
	n := 1
	for _, d := range shape {
		if d < 1 || d > math.MaxInt32/n {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// Checkpoint returns a copy of the parameters with metadata.
func (p *Params) Checkpoint(meta map[string]string) Checkpoint {
	c := Checkpoint{Meta: meta}
	for _, q := range p.list {
		c.Tensors = append(c.Tensors, CheckpointTensor{Name: q.Name, Shape: q.Shape, Data: slices.Clone(p.data(q))})
	}
	return c
}

// Restore sets all parameters from a checkpoint, which must hold exactly these: a name that is missing, unknown or of
// another shape is an error, and then nothing has changed.
func (p *Params) Restore(c Checkpoint) error {
	if len(c.Tensors) != len(p.list) {
		return fmt.Errorf("%w: it holds %d parameters, the network has %d", ErrCheckpoint, len(c.Tensors), len(p.list))
	}
	for _, t := range c.Tensors {
		i, ok := p.index[t.Name]
		if !ok {
			return fmt.Errorf("%w: the network has no parameter %q", ErrCheckpoint, t.Name)
		}
		if q := p.list[i]; !slices.Equal(q.Shape, t.Shape) || len(t.Data) != q.size {
			return fmt.Errorf("%w: parameter %q has shape %v, the network's has %v", ErrCheckpoint, t.Name, t.Shape, q.Shape)
		}
	}
	for _, t := range c.Tensors {
		copy(p.data(p.list[p.index[t.Name]]), t.Data)
	}
	return nil
}

// Save writes the parameters to a checkpoint file. See Checkpoint.Save.
func (p *Params) Save(path string, meta map[string]string) error {
	return p.Checkpoint(meta).Save(path)
}

// Save writes the file form. The file appears under its name only when it is complete.
func (c Checkpoint) Save(path string) error {
	data, err := c.Encode()
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the write's error is the one to report
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// Load sets all parameters from a checkpoint file and returns its metadata.
func (p *Params) Load(path string) (map[string]string, error) {
	c, err := ReadCheckpoint(path)
	if err != nil {
		return nil, err
	}
	if err := p.Restore(c); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c.Meta, nil
}

// ReadCheckpoint reads a checkpoint file.
func ReadCheckpoint(path string) (Checkpoint, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	c, err := DecodeCheckpoint(data)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

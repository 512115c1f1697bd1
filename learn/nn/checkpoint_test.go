package nn_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/learn/nn"
)

// define is a network with a parameter of each kind.
func define(b *nn.Build) {
	x := b.Standardize(b.Features("x", 3), "norm")
	x = b.Conv1D(b.Linear(x, "in", 4), "conv", 5, 3, 2, true)
	b.Output("y", b.Dropout(x, 0.5))
}

func declare(t testing.TB, define func(b *nn.Build)) *nn.Params {
	t.Helper()
	p, err := nn.Declare(define)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheckpointRoundTrip(t *testing.T) {
	p := declare(t, define)
	p.Init(4)
	if err := p.SetStandard("norm", []float32{1, 2, 3}, []float32{1, 0.5, 0}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "net.ckpt")
	if err := p.Save(path, map[string]string{"step": "12"}); err != nil {
		t.Fatal(err)
	}
	q := declare(t, define)
	meta, err := q.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if meta["step"] != "12" || !slices.Equal(p.Weights, q.Weights) || !slices.Equal(p.Buffers, q.Buffers) {
		t.Errorf("read back %v and other values than were written", meta)
	}
	a, errA := p.Checkpoint(nil).Encode()
	b, errB := q.Checkpoint(nil).Encode()
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Error("equal parameters give different files")
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("files left behind: %v", files)
	}
}

func TestCheckpointIntoAnotherNetworkChangesNothing(t *testing.T) {
	p := declare(t, define)
	p.Init(1)
	for name, other := range map[string]func(b *nn.Build){
		"holds 7 parameters": func(b *nn.Build) { define(b); b.Param("more", nn.Ones, true, 2) }, // it has 6
		"no parameter": func(b *nn.Build) {
			x := b.Standardize(b.Features("x", 3), "norm")
			b.Conv1D(b.Linear(x, "in", 4), "other", 5, 3, 2, true)
		},
		"has shape": func(b *nn.Build) {
			x := b.Standardize(b.Features("x", 3), "norm")
			b.Conv1D(b.Linear(x, "in", 8), "conv", 5, 3, 2, true)
		},
	} {
		q := declare(t, other)
		before := slices.Clone(p.Weights)
		if err := p.Restore(q.Checkpoint(nil)); !errors.Is(err, nn.ErrCheckpoint) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, expected %q", err, name)
		}
		if err := p.CopyFrom(q); !errors.Is(err, nn.ErrParams) {
			t.Errorf("CopyFrom gives %v", err)
		}
		if !slices.Equal(p.Weights, before) {
			t.Error("a refused checkpoint changed parameters")
		}
	}
}

// seal gives a body the hash that makes it look undamaged.
func seal(header string, values ...float32) []byte {
	b := []byte("TANDEMCK")
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	b = append(b, header...)
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func TestDamagedCheckpointsAreRefused(t *testing.T) {
	p := declare(t, define)
	good, err := p.Checkpoint(nil).Encode()
	if err != nil {
		t.Fatal(err)
	}
	flipped := slices.Clone(good)
	flipped[len(flipped)/2] ^= 1
	newer := slices.Clone(good)
	newer[8] = 2
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {nil, "not a checkpoint file"},
		"another file":    {bytes.Repeat([]byte("PK"), 100), "not a checkpoint file"},
		"truncated":       {good[:len(good)-5], "damaged"},
		"one bit flipped": {flipped, "damaged"},
		"newer format":    {newer, "format version 2, this program reads 1"},
		"no JSON":         {seal("?"), "header"},
		"unknown field":   {seal(`{"meta":{},"tensors":[],"extra":1}`), "extra"},
		"too few values":  {seal(`{"meta":{},"tensors":[{"name":"a","shape":[2]}]}`, 1), "does not fit"},
		"too many values": {seal(`{"meta":{},"tensors":[{"name":"a","shape":[1]}]}`, 1, 2), "4 bytes are left over"},
		"shape of 0":      {seal(`{"meta":{},"tensors":[{"name":"a","shape":[0]}]}`), "does not fit"},
		"huge shape":      {seal(`{"meta":{},"tensors":[{"name":"a","shape":[2000000000,2000000000,4]}]}`), "does not fit"},
		"name twice":      {seal(`{"meta":{},"tensors":[{"name":"a","shape":[1]},{"name":"a","shape":[1]}]}`, 1, 2), "there twice"},
		"not a number":    {seal(`{"meta":{},"tensors":[{"name":"a","shape":[1]}]}`, float32(math.NaN())), `value 0 of tensor "a" is NaN`},
	} {
		if _, err := nn.DecodeCheckpoint(c.data); !errors.Is(err, nn.ErrCheckpoint) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, expected %q", name, err, c.want)
		}
	}
	path := filepath.Join(t.TempDir(), "bad.ckpt")
	if err := os.WriteFile(path, flipped, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Load(path); !errors.Is(err, nn.ErrCheckpoint) || !strings.Contains(err.Error(), path) {
		t.Errorf("Load gives %v, expected the file's name", err)
	}
	if _, err := p.Load(path + ".missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if err := p.Save(filepath.Join(path, "below"), nil); err == nil {
		t.Error("a checkpoint was saved below a file")
	}
}

func FuzzDecodeCheckpoint(f *testing.F) {
	good, err := declare(f, define).Checkpoint(map[string]string{"a": "b"}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-sha256.Size])
	f.Add(seal(`{"meta":{},"tensors":[{"name":"a","shape":[1,1]}]}`, 1))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		// The hash is made right, so that the fuzzer gets past it.
		sum := sha256.Sum256(body)
		data := append(slices.Clone(body), sum[:]...)
		c, err := nn.DecodeCheckpoint(data)
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		d, err := nn.DecodeCheckpoint(again)
		if err != nil || len(d.Tensors) != len(c.Tensors) {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
	})
}

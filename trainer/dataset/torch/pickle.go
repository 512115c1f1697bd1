package torch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/pytorch"
	"github.com/nlpodyssey/gopickle/types"
)

// description is what data.pkl says of a tensor.
type description struct {
	key    string // names the entry that holds the numbers
	kind   kind
	offset int64 // of the tensor's first element in the entry
	shape  []int
}

// storage stands for the numbers of a tensor, which are left in the file.
type storage struct {
	kind kind
	key  string
}

// SetFromFile and SetFromFileWithSize make a storage what the library expects; nobody calls them.
func (s *storage) SetFromFile(io.Reader) error { return errPickle }

// SetFromFileWithSize is like SetFromFile.
func (s *storage) SetFromFileWithSize(io.Reader, int) error { return errPickle }

// unpickle runs a pickle whose opcodes have been checked.
func unpickle(r io.Reader) (*description, error) {
	u := pickle.NewUnpickler(r)
	u.FindClass = findClass
	u.PersistentLoad = persistentLoad
	v, err := u.Load()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPickle, err)
	}
	t, ok := v.(*pytorch.Tensor)
	if !ok {
		return nil, fmt.Errorf("%w: it holds %T; save the tensor alone", errPickle, v)
	}
	s, ok := t.Source.(*storage)
	if !ok {
		return nil, errPickle
	}
	if !contiguous(t.Size, t.Stride) {
		return nil, fmt.Errorf("the tensor of shape %v has strides %v, expected row-major order; save its .contiguous()", t.Size, t.Stride)
	}
	return &description{key: s.key, kind: s.kind, offset: int64(t.StorageOffset), shape: t.Size}, nil
}

// findClass knows what a tensor of floats is made of, and nothing else.
func findClass(module, name string) (any, error) {
	switch module + "." + name {
	case "torch._utils._rebuild_tensor_v2":
		return &pytorch.RebuildTensorV2{}, nil
	case "torch.FloatStorage":
		return f32, nil
	case "torch.DoubleStorage":
		return f64, nil
	case "torch.HalfStorage":
		return f16, nil
	case "torch.BFloat16Storage":
		return bf16, nil
	}
	return nil, fmt.Errorf("found %.40s.%.40s, expected a tensor of floats", module, name)
}

// persistentLoad reads ("storage", class, key, device, number of elements).
func persistentLoad(id any) (any, error) {
	tuple, ok := id.(*types.Tuple)
	if !ok || tuple.Len() < 5 || tuple.Get(0) != "storage" {
		return nil, errPickle
	}
	k, ok := tuple.Get(1).(kind)
	key, isText := tuple.Get(2).(string)
	if !ok || !isText {
		return nil, errPickle
	}
	return &storage{kind: k, key: key}, nil
}

// Opcodes of the pickles that describe tensors, by the argument that follows.
const (
	plain = "().0NQRt)}]bue\x81\x85\x86\x87\x88\x89\x93\x94" // none
	one   = "\x80Khq"                                        // 1 byte
	two   = "M"                                              // 2 bytes
	four  = "Jjr"                                            // 4 bytes
	eight = "\x95"                                           // 8 bytes: a frame's length
	short = "U\x8c\x8a"                                      // 1 byte: the length of what follows
	long  = "X"                                              // 4 bytes: the length of what follows
)

// checkOpcodes makes sure that running the pickle takes no more memory than it has bytes: the library makes room for
// whatever length an opcode claims. Opcodes that no tensor needs are refused.
func checkOpcodes(data []byte) error {
	in := func(set string, op byte) bool { return strings.IndexByte(set, op) >= 0 }
	rest := data
	for len(rest) > 0 {
		op := rest[0]
		rest = rest[1:]
		n := 0
		switch {
		case op == '.':
			return nil
		case op == 'c': // two lines
			for range 2 {
				end := bytes.IndexByte(rest, '\n')
				if end < 0 {
					return fmt.Errorf("%w: it is cut off", errPickle)
				}
				rest = rest[end+1:]
			}
		case in(plain, op):
		case in(one, op):
			n = 1
		case in(two, op):
			n = 2
		case in(four, op):
			n = 4
		case in(eight, op):
			n = 8
			if len(rest) >= 8 && binary.LittleEndian.Uint64(rest) > uint64(len(rest)-8) {
				return fmt.Errorf("%w: it is cut off", errPickle)
			}
		case in(short, op) && len(rest) >= 1:
			n = 1 + int(rest[0])
		case in(long, op) && len(rest) >= 4:
			n = 4 + int(binary.LittleEndian.Uint32(rest))
		default:
			return fmt.Errorf("%w: it has opcode 0x%02x", errPickle, op)
		}
		if n > len(rest) {
			return fmt.Errorf("%w: it is cut off", errPickle)
		}
		rest = rest[n:]
	}
	return fmt.Errorf("%w: it is cut off", errPickle)
}

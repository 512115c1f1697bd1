package ort

import (
	"reflect"
	"testing"

	onnx "github.com/yalue/onnxruntime_go"
)

func TestTheInterfaceIsReadAsTheLibraryTellsIt(t *testing.T) {
	if err := Init(""); err != nil {
		t.Fatal(err)
	}
	for name, model := range map[string][]byte{"squares": squares(), "product": product()} {
		in, out, err := readInterface(model)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ins, outs, err := onnx.GetInputOutputInfoWithONNXData(model)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			got  []Info
			want []onnx.InputOutputInfo
		}{{in, ins}, {out, outs}} {
			want, err := infos(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(c.got, want) {
				t.Errorf("%s: read %v, the library says %v", name, c.got, want)
			}
		}
	}
}

// FuzzReadInterface: whatever the bytes are, they are read or refused.
func FuzzReadInterface(f *testing.F) {
	f.Add(squares())
	f.Add(product())
	f.Fuzz(func(t *testing.T, model []byte) {
		in, out, err := readInterface(model)
		if err == nil && len(out) == 0 {
			t.Errorf("accepted without an output (inputs %v)", in)
		}
	})
}

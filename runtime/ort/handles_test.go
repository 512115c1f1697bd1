package ort

import "testing"

func TestHandlesAreCounted(t *testing.T) {
	before := OpenHandles()
	s, err := Open(squares(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	shared, err := s.Share()
	if err != nil {
		t.Fatal(err)
	}
	closers := []interface{ Close() error }{s, shared}
	var list []Tensor
	for _, shape := range [][]int{{1, 3}, {1}, {1, 3}, {1}} {
		x, err := NewTensor(shape, make([]float32, shape[len(shape)-1]))
		if err != nil {
			t.Fatal(err)
		}
		list, closers = append(list, x), append(closers, x)
	}
	b, err := shared.Bind(list[:2], list[2:])
	if err != nil {
		t.Fatal(err)
	}
	now := OpenHandles()
	if now.Models != before.Models+1 || now.Bindings != before.Bindings+1 || now.Tensors != before.Tensors+4 {
		t.Errorf("handles %+v, before %+v; want a model, a binding and four tensors more", now, before)
	}
	for range 2 { // closing again counts once
		for _, c := range append([]interface{ Close() error }{b}, closers...) {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if now := OpenHandles(); now != before {
		t.Errorf("handles %+v after all were closed, before %+v", now, before)
	}
}

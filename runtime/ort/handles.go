package ort

import "sync/atomic"

// Handles are how many of the library's objects this process has open: what is not closed stays in memory that Go does not see.
type Handles struct {
	Models   int64 `json:"models"` // that are loaded; sessions may share one
	Bindings int64 `json:"bindings"`
	Tensors  int64 `json:"tensors"`
}

var handles struct{ models, bindings, tensors atomic.Int64 }

// OpenHandles counts them now.
func OpenHandles() Handles {
	return Handles{Models: handles.models.Load(), Bindings: handles.bindings.Load(), Tensors: handles.tensors.Load()}
}

// Package graph traces a computation in Go, differentiates it in reverse mode and writes it as a plain ONNX model.
//
// A Graph is built by calling its operations (g.Linear, g.Relu, …), each of which returns a Tensor of known shape and
// element type. Backward appends the gradient computation to the same graph, so that forward, loss and backward become
// one ONNX model that ONNX Runtime executes; without it the graph is the deployable model. Only standard operators of
// opset 18 are written, and only in forms that older checkers read the same way.
//
// Misuse never panics. The first mistake (a wrong shape, a tensor of another graph, a name used twice) is recorded on
// the Graph with the operation's name, what it found and what it expected; later operations return placeholders, and
// Err, Backward and Model return the error. A network definition therefore needs no error handling line by line.
//
// A Graph belongs to one goroutine.
package graph

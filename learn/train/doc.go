// Package train runs the training graphs of learn/nn on ONNX Runtime: it opens a session for each length of sequence,
// feeds it, accumulates gradients and lets an optimizer move the parameters.
package train

// Package nn holds the parameters of a network and the layers that networks are written with.
//
// A network is a Go function that calls layers on a Build. The same function is traced three ways: for training
// (NewTrain: parameters are inputs, fixed batch and length, dropout by mask), for inference over whole sequences (NewInfer:
// parameters are constants, any length, no dropout) and frame by frame (NewStream: the same, with the past of each
// causal convolution as state that the caller keeps; see StreamSpec).
//
// Parameters live in two flat vectors, one that is trained and one that is not, so that optimizers, gradient exchange
// and checkpoints need not know the network.
package nn

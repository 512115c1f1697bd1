// Package optim updates parameters from their gradients: Adam with decoupled weight decay, SGD with momentum, moving
// averages, gradient clipping and learning-rate schedules, all over flat float32 vectors. On processors with AVX2 the
// kernels are vectorised; they give the same bits as the portable ones.
package optim

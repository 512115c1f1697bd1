// Package optim updates parameters from their gradients: Adam with decoupled weight decay, gradient clipping and
// learning-rate schedules, all over flat float32 vectors.
package optim

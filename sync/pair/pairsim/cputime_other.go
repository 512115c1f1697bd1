//go:build !linux

package pairsim

import "time"

var began = time.Now()

// threadTime returns the time: elsewhere a thread's own is not to be had.
func threadTime() time.Duration { return time.Since(began) }

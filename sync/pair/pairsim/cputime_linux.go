package pairsim

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime returns the processor time of this thread: on a busy machine, the clock on the wall says nothing of a core.
func threadTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

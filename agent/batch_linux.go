package agent

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// AsBatch has the system schedule this process as work in which only throughput counts (SCHED_BATCH), or as ordinary work again.
// Threads of batch work that wake up displace nobody. Those of a pipeline that plays a recording as fast as it can wake up a dozen
// times a frame: it gets more of the processors without, and so do others. It needs no rights.
//
// Threads under another policy, as one that was chosen from outside, are left alone. Threads that start later are as those that start
// them.
func AsBatch(on bool) error {
	from, to := uint32(unix.SCHED_NORMAL), uint32(unix.SCHED_BATCH)
	if !on {
		from, to = to, from
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list the process's threads: %w", err)
	}
	var errs []error
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil {
			err = setPolicy(id, from, to)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) { // a thread may have ended
			errs = append(errs, fmt.Errorf("thread %s: %w", t.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func setPolicy(thread int, from, to uint32) error {
	a, err := unix.SchedGetAttr(thread, 0)
	if err != nil || a.Policy != from {
		return err
	}
	return unix.SchedSetAttr(thread, &unix.SchedAttr{Policy: to, Nice: a.Nice}, 0)
}

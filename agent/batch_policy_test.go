//go:build linux

package agent

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAllThreadsBecomeBatchWorkAndOrdinaryAgain(t *testing.T) {
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Policy != unix.SCHED_NORMAL {
		t.Skipf("the tests run under a policy of their own: %+v, %v", a, err)
	}
	for _, on := range []bool{true, true, false, false} {
		if err := AsBatch(on); err != nil {
			t.Fatal(err)
		}
		want := uint32(unix.SCHED_NORMAL)
		if on {
			want = unix.SCHED_BATCH
		}
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range threads {
			id, err := strconv.Atoi(x.Name())
			if err != nil {
				t.Fatal(err)
			}
			if a, err := unix.SchedGetAttr(id, 0); err == nil && a.Policy != want {
				t.Errorf("batch %v: thread %d has policy %d, want %d", on, id, a.Policy, want)
			}
		}
	}
}

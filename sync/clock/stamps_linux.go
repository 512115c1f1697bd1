package clock

import (
	"net"
	"time"

	"github.com/facebook/time/timestamp"
	"golang.org/x/sys/unix"
)

// arrivalBytes is the room that the kernel's stamp of a packet needs.
const arrivalBytes = timestamp.ControlSizeBytes

// stampArrivals asks the kernel to stamp each packet of conn when it arrives.
func stampArrivals(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = timestamp.EnableSWTimestampsRx(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// arrival returns the kernel's stamp; false if there is none.
func arrival(oob []byte) (time.Time, bool) {
	if len(oob) == 0 {
		return time.Time{}, false
	}
	at, err := timestamp.ReadRXTimestamp(oob, len(oob))
	return at, err == nil
}

// localNow is the kernel's monotonic clock, on which V4L2 stamps frames, too.
func localNow() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // no Linux lacks this clock
	}
	return ts.Nano()
}

// slept is how long the machine was suspended so far, during which the monotonic clock stands still, and how precisely that
// was read, ns.
func slept() (ns, gap int64) {
	for try := range 5 { // a busy machine may take the processor away between the readings
		var boot unix.Timespec
		before := localNow()
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
			return 0, 0
		}
		if after := localNow(); try == 0 || after-before < gap {
			gap, ns = after-before, boot.Nano()-before-(after-before)/2
		}
	}
	return ns, gap
}

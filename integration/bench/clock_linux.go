package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns the processor time that a process has used so far, threads that
// have ended included. The clock counts nanoseconds; /proc counts ticks of 10 ms, too
// coarse for a short round. See clock_getcpuclockid(3) for its number.
func processorTime(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid<<3|scheduler), &t) //nolint:gosec // a pid has 22 bits
	return time.Duration(t.Nano()), err
}

// nap sleeps more exactly than time.Sleep, which rounds up to a millisecond while the
// process waits for the network.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}

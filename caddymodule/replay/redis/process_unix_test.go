//go:build unix

package redis_test

import (
	"syscall"
	"testing"
	"time"
)

// freeze suspends the server, and thaw resumes it.
func (s *server) freeze(*testing.T) { s.process.Process.Signal(syscall.SIGSTOP) }
func (s *server) thaw()             { s.process.Process.Signal(syscall.SIGCONT) }

// processorTime is what this process has used.
func processorTime() time.Duration {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

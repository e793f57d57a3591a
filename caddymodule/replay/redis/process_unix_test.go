//go:build unix

package redis_test

import (
	"syscall"
	"testing"
)

// freeze suspends the server, and thaw resumes it.
func (s *server) freeze(*testing.T) { s.process.Process.Signal(syscall.SIGSTOP) }
func (s *server) thaw()             { s.process.Process.Signal(syscall.SIGCONT) }

//go:build unix

package redis_test

import (
	"syscall"
	"testing"
)

// freeze stops the server where it is, and thaw lets it go on.
func (s *server) freeze(*testing.T) { s.process.Process.Signal(syscall.SIGSTOP) }
func (s *server) thaw()             { s.process.Process.Signal(syscall.SIGCONT) }

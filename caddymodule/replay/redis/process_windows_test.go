package redis_test

import (
	"testing"
	"time"
)

func (s *server) freeze(t *testing.T) {
	t.Helper()
	t.Skip("Windows has no signal that stops a process")
}

func (s *server) thaw() {}

func processorTime() time.Duration { return 0 }

package redis_test

import "testing"

func (s *server) freeze(t *testing.T) {
	t.Helper()
	t.Skip("no signal stops a process here")
}

func (s *server) thaw() {}

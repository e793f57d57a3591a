package redis

import (
	"testing"

	"go.uber.org/zap"
)

// A client outlives its configuration and writes to the log of the newest one that
// loaded. The log of an older one may be closed.
func TestNewestLog(t *testing.T) {
	c := new(client)
	first, second, failed := zap.NewExample(), zap.NewExample(), zap.NewExample()
	c.logger().Info("nobody uses it")
	c.enter(first)
	c.enter(failed)
	c.leave(failed)
	if c.logger() != first {
		t.Error("it does not write to the log of the configuration that loaded")
	}
	c.enter(second)
	c.leave(first)
	if c.logger() != second {
		t.Error("it writes to the log of the old configuration")
	}
}

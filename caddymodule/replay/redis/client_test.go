package redis

import (
	"testing"

	"go.uber.org/zap"
)

// A client outlives the configuration that it was made for, and writes to the log of the
// newest one: the older one's may be closed, and one that did not load has none.
func TestNewestLog(t *testing.T) {
	c := new(client)
	first, second, failed := zap.NewExample(), zap.NewExample(), zap.NewExample()
	c.logger().Info("nobody uses it")
	c.enter(first)
	c.enter(failed)
	c.leave(failed)
	if c.logger() != first {
		t.Error("a configuration that did not load took the log away")
	}
	c.enter(second)
	c.leave(first)
	if c.logger() != second {
		t.Error("it writes to the log of the configuration before")
	}
}

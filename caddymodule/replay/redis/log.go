package redis

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

func init() { redis.SetLogger(clientLog{}) }

// clientLog takes what go-redis itself logs, by default to the process's standard error: a
// line for each connection that fails, several a second while a server is away. This
// package logs when one goes and when it comes back, and returns every error.
type clientLog struct{}

// Printf implements the logger of go-redis.
func (clientLog) Printf(_ context.Context, format string, args ...any) {
	if log := caddy.Log().Named(replay.Namespace + ".redis").Sugar(); log.Level().Enabled(-1) {
		log.Debug(fmt.Sprintf(format, args...))
	}
}

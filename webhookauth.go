// Package webhookauth plugs the gateway into Caddy: the handler webhook_auth, the
// command "caddy webhook", and both stores of the replay guard.
//
//	xcaddy build --with github.com/webhookauth/caddy-webhook-auth
//
// The handler alone, without the client for Redis, is the package caddymodule.
package webhookauth

import (
	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule"              // http.handlers.webhook_auth and its command
	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis" // the store redis of the replay guard
)

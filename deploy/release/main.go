// Command caddy-webhook is Caddy with the module webhook_auth, as the releases have it. It
// is what xcaddy would write, with a name of its own. Build one of your own with xcaddy.sh.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/webhookauth/caddy-webhook-auth"
)

func main() {
	caddy.CustomBinaryName = "caddy-webhook" // for its man pages and completion, beside those of caddy
	caddycmd.Main()
}

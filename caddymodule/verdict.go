package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// A verdict is what the placeholders of a request show. They are looked up when
// they are asked for, which most configurations never do.
type verdict struct {
	preset string
	match  signature.Match
	reason signature.Refusal // empty: verified
	body   *spool.Body       // nil: not verified

	duplicate bool // the replay guard knows it
}

// verdictVar is the request variable that holds the verdict.
const verdictVar = "webhook_auth"

// publish makes v the verdict of the request. A second gate in the same route
// overwrites what the first one found.
func publish(r *http.Request, v verdict) {
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if held, ok := vars[verdictVar].(*verdict); ok {
		*held = v
		return
	}
	vars[verdictVar] = &v
	r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(v.placeholder)
}

// String is what the request variable shows.
func (v *verdict) String() string { return cmp.Or(string(v.reason), "verified") }

func (v *verdict) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, "http.webhook_auth.")
	if !ok {
		return nil, false
	}
	switch name {
	case "verified":
		return v.reason == "", true
	case "preset":
		return v.preset, true
	case "secret":
		return v.match.Secret, true
	case "algorithm":
		return v.match.Algorithm, true
	case "duplicate":
		return v.duplicate, true
	case "reason":
		return string(v.reason), true
	case "body_sha256":
		return v.bodySHA256(), true
	}
	return nil, false
}

// bodySHA256 reads the body once more; it is empty once the app has answered.
func (v *verdict) bodySHA256() string {
	if v.body == nil {
		return ""
	}
	sum := sha256.New()
	if _, err := v.body.WriteTo(sum); err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// A verdict is what the placeholders of a request show. They are looked up when
// they are asked for, which most configurations never do.
type verdict struct {
	preset string
	match  signature.Match
	reason signature.Refusal // empty: verified
	body   *spool.Body

	duplicate bool      // the replay guard knows that the app took it before
	first     time.Time // when it came the first time; zero unless the guard knows
}

// verdictVar is the request variable that holds the verdict, and the field of the
// access log that shows it.
const verdictVar = "webhook_auth"

// publish makes v the verdict of the request, for the placeholders and the access
// log. A second gate in the same route overwrites what the first one found.
func publish(r *http.Request, v *verdict) {
	ctx := r.Context()
	vars := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	if held, ok := vars[verdictVar].(*verdict); ok {
		*held = *v
		return
	}
	vars[verdictVar] = v
	ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields).Set(zap.Stringer(verdictVar, v))
	ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(v.placeholder)
}

// whole reports whether the body was received to its end, and judged.
func (v *verdict) whole() bool {
	switch v.reason {
	case "", signature.SignatureMismatch, signature.Duplicate, signature.InFlight, signature.ReplayUnavailable:
		return true
	}
	return false
}

func (v *verdict) verified() bool { return v.reason == "" }

// String is what the request variable and the access log show.
func (v *verdict) String() string { return cmp.Or(string(v.reason), "verified") }

// placeholder also tells Caddy's access log who the user is: the secret's name.
func (v *verdict) placeholder(key string) (any, bool) {
	if key == "http.auth.user.id" {
		return v.match.Secret, v.verified()
	}
	name, ok := strings.CutPrefix(key, "http.webhook_auth.")
	if !ok {
		return nil, false
	}
	switch name {
	case "verified":
		return v.verified(), true
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
	if !v.verified() {
		return ""
	}
	sum := sha256.New()
	if _, err := v.body.WriteTo(sum); err != nil {
		return ""
	}
	return hex.EncodeToString(sum.Sum(nil))
}

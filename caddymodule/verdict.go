package caddymodule

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// An attempt is one request on its way through a gate, in one allocation.
type attempt struct {
	verdict
	published published
	body      spool.Body
	answer    answer
	material  *material
	tenant    string
	unknown   bool   // there is no such tenant
	unread    bool   // nobody knows: its file is not read in time; only under unsafe_observe_only
	leave     func() // see enter

	began   time.Time     // when the header section was there
	took    time.Duration // to the verdict
	finding string        // what the header section shows to be wrong, and its cure
	hint    string
	whole   bool           // the body was received to its end
	cause   error          // why it was refused, or failed behind the gate
	guard   refusal.Reason // what the replay guard has against a delivery that passes
	claim   replay.Claim
	claimed bool // the claim has to be finished
	counted bool
}

// A verdict is what the placeholders of a request show. They are computed on demand,
// because most configurations never ask for one.
type verdict struct {
	preset string
	match  signature.Match
	reason refusal.Reason // empty: verified
	body   *spool.Body
	name   string // see id
	owner  string // the tenant of a verified delivery

	duplicate bool      // the replay guard knows that the app took it before
	first     time.Time // when it came the first time; zero unless the guard knows
}

// id names the request in the log, and where it is refused to the sender. Most requests
// are never asked for one.
func (v *verdict) id() string {
	if v.name == "" {
		v.name = newID()
	}
	return v.name
}

// newID returns nine characters that are easy to read out. They are a name, not a
// secret.
func newID() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyz0123456789"
	var id [9]byte
	for i, n := 0, rand.Uint64(); i < len(id); i++ { //nolint:gosec // a name
		id[i] = alphabet[n%uint64(len(alphabet))]
		n /= uint64(len(alphabet)) // nine digits are 46 of its bits
	}
	return string(id[:])
}

// verdictVar is the request variable that holds the verdict, and the field of the
// access log that shows it.
const verdictVar = "webhook_auth"

// A published verdict is the one that the request shows. If a request passes two gates,
// that is the second one's.
type published struct{ *verdict }

// publish shows the verdict to the placeholders and the access log.
func publish(r *http.Request, a *attempt) {
	ctx := r.Context()
	vars := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any)
	if held, ok := vars[verdictVar].(*published); ok {
		held.verdict = &a.verdict
		return
	}
	held := &a.published
	held.verdict = &a.verdict
	vars[verdictVar] = held
	ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields).Set(zap.Stringer(verdictVar, held))
	ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer).Map(held.placeholder)
}

func (v *verdict) verified() bool { return v.reason == "" }

// String is what the request variable and the access log show.
func (v *verdict) String() string { return cmp.Or(string(v.reason), "verified") }

// placeholder returns the value of one placeholder. Caddy's access log shows the name of
// the secret as the user.
func (v *published) placeholder(key string) (any, bool) {
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
	case "signed":
		return v.verified() && v.match.Signed(), true
	case "id":
		return v.id(), true
	case "preset":
		return v.preset, true
	case "tenant":
		return v.owner, true
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

// bodySHA256 reads the body once more. Once the app has answered it returns "".
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

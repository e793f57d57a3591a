package command

import (
	"net/http"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// tokenMatrix is what is promised at a gate with tokens. A changed body and another
// algorithm are not in it: nothing is signed, and they would be let through.
var tokenMatrix = []probe{
	{name: "authentic", expected: 0, make: (*prober).signed},
	{name: "no token", expected: http.StatusUnauthorized, make: (*prober).unsigned},
	{name: "wrong token", expected: http.StatusUnauthorized, make: (*prober).wrongSecret},
	{name: "over the limit", expected: http.StatusRequestEntityTooLarge, make: (*prober).oversized},
}

const tokenAdvice = "A changed body was not sent: a token signs nothing, so the gate lets through whatever body comes with it."

// tokenVerifier is the gate's own. With a replay guard it also needs what makes a delivery.
func (g *Gate) tokenVerifier() (*signature.Verifier, error) {
	v, err := signature.NewTokens(g.Scheme, g.Tokens)
	if err == nil && g.Guarded {
		v.Fingerprints("verify")
	}
	return v, err
}

// tokenStranger sends a token that the gate does not have, in the form of one.
func (g *Gate) tokenStranger(text string) (*sender.Signer, error) {
	s, err := sender.NewToken(g.Scheme, signature.Token{Text: text})
	if err != nil { // then it has to be user:password
		s, err = sender.NewToken(g.Scheme, signature.Token{Text: "nobody:" + text})
	}
	return s, err
}

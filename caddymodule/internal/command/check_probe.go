package command

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

const (
	checkName = "check"
	answered  = "answered"
)

// checks are the checks of the gate's sender: the one that it makes, and one that was meant
// for another gate.
func (p *prober) checks() (probes []probe) {
	challenge := p.target.Challenge
	if challenge == nil {
		return nil
	}
	argument := ""
	if len(challenge.Arguments()) > 0 {
		argument = challenge.Arguments()[0]
	}
	if check, ok := sender.NewCheck(challenge.Kind(), argument); ok && (!check.Signed || !p.forgedOnly) {
		probes = append(probes, probe{
			name:     checkName,
			make:     func(p *prober, _ []byte) (*http.Request, error) { return p.asking(check) },
			answered: func(r result) error { return check.Answered(r.Status, r.header, r.body, p.proof(check)) },
		})
	}
	if check, wrong, ok := sender.WrongCheck(challenge.Kind()); ok && !p.target.Observes {
		probes = append(probes, probe{
			name: checkName + ", wrong " + wrong, expected: http.StatusUnauthorized,
			make: func(p *prober, _ []byte) (*http.Request, error) { return p.asking(check) },
		})
	}
	return probes
}

// asking is the request of a check.
func (p *prober) asking(check *sender.Check) (*http.Request, error) {
	u := *p.address
	u.RawQuery = joined(u.RawQuery, check.Query)
	r, err := http.NewRequestWithContext(context.Background(), check.Method, u.String(), strings.NewReader(check.Body))
	if err != nil {
		return nil, err
	}
	p.dress(r, check.Fields)
	if needsToken := check.Token && p.target.Scheme.Tokens(); !check.Signed && !needsToken {
		return r, nil
	}
	delivery := sender.Delivery{Method: check.Method, URL: p.target.PublicURL, Header: r.Header, Body: []byte(check.Body), Time: time.Now()}
	for _, field := range p.signer.Sign(delivery) {
		r.Header.Set(field.Name, field.Value)
	}
	return r, nil
}

// joined adds parameters to a query.
func joined(query string, parameters url.Values) string {
	return strings.Trim(query+"&"+parameters.Encode(), "&")
}

// proof is the signer with the secret under which the gate answers a check: the one that
// signed it, or the first.
func (p *prober) proof(check *sender.Check) *sender.Signer {
	if check.Signed || p.target.Scheme.Kind() != signature.Secrets {
		return p.signer
	}
	signer, err := p.target.signer("")
	if err != nil {
		return nil // sendAll has made it before
	}
	return signer
}

// checkAdvice says what to do about a check that was not answered.
func (p *prober) checkAdvice(r result) string {
	advice := fmt.Sprintf("The sender's check (challenge %s) was not answered as the sender wants: %v. ", p.target.Challenge.Kind(), r.wrong)
	if r.ErrorID != "" {
		return advice + "The gate refused it; its log says why under the error_id " + r.ErrorID + ". Was the server reloaded since the challenge was written (caddy reload)?"
	}
	return advice + fmt.Sprintf("It is a %s: look for a route in front of the gate that takes this method, and for something that changes answers.", r.method)
}

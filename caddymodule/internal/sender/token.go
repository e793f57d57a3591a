package sender

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// NewToken returns the signer of a sender that signs nothing and sends a token. No error
// shows the token.
func NewToken(scheme signature.Scheme, token signature.Token) (*Signer, error) {
	if err := errors.Join(scheme.Validate(), scheme.CheckKind(signature.Tokens)); err != nil {
		return nil, err
	}
	if _, err := scheme.Key(signature.Secret{Text: token.Text}); err != nil {
		return nil, fmt.Errorf("token %q %w", token.Name, err)
	}
	s := newSigner(scheme)
	s.sent = fill(scheme.Signature, map[string]string{
		"token": token.Text, "token_base64": base64.StdEncoding.EncodeToString([]byte(token.Text)),
	})
	return s, nil
}

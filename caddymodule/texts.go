package caddymodule

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// texts is who has which text in one configuration, by its SHA-256. Some texts are shown:
// whoever reads them could sign, if a secret had the same text.
type texts map[[sha256.Size]byte][]textUse

// A textUse is one option that has a text.
type textUse struct {
	gate   *Handler
	option string // as errors name it
	shown  exposure
}

// An exposure is where a text can be read.
type exposure int

const (
	nowhere   exposure = iota // it is a secret
	inRequest                 // it is a token: the sender puts it into each request
	inQuery                   // it is a verify token: the sender puts it into the query, which access logs show
	inLog                     // it is a name
)

// remedies says why the text is no secret there, and what to do.
var remedies = map[exposure]string{
	inRequest: "and a token comes in each request, so that whoever sees one could sign; give each gate one of its own",
	inQuery: "and a verify token comes in the query, which access logs show; " +
		"make a verify token of its own, for example with: openssl rand -hex 32. If it was in use, change the secret too",
	inLog: "and names are in the log and the metrics; write a name that is no secret, such as acme. If it was in use, change the secret too",
}

// minNamed is the length in bytes from which a name is compared with secrets. What is
// shorter is an ordinary word, which may also be a weak verify token.
const minNamed = 8

// add refuses a secret that another option shows, and the other way round. forms are all
// ways to write it.
func (t texts) add(use textUse, forms ...string) error {
	for _, form := range forms {
		sum := sha256.Sum256([]byte(form))
		for _, other := range t[sum] {
			if use.shown != other.shown {
				return use.meet(other)
			}
		}
		t[sum] = append(t[sum], use)
	}
	return nil
}

// meet says what is wrong with two uses of one text, without a name that is the text.
func (u textUse) meet(other textUse) error {
	for _, use := range []textUse{u, other} {
		use.gate.hidden = use.gate.hidden || use.shown == inLog && use.option == "name"
	}
	owner := "this gate"
	if u.gate != other.gate {
		owner = other.gate.place()
	}
	return mistake.In(u.option, "%s has the same text in %s, %s", owner, other.option, remedies[max(u.shown, other.shown)])
}

// shareTexts adds the texts of the gate to those of its configuration.
func (h *Handler) shareTexts(all texts, m *material) error {
	for i, secret := range m.texts.secrets {
		use := textUse{h, fmt.Sprintf("secret %d", i+1), nowhere}
		if err := all.add(use, h.formsOf(secret)...); err != nil {
			return err
		}
	}
	for i, token := range m.expected {
		use := textUse{h, argumentOption(h.Challenge.Kind, i), inQuery}
		if err := all.add(use, token); err != nil {
			return err
		}
	}
	for i, token := range m.texts.tokens {
		use := textUse{h, fmt.Sprintf("token %d", i+1), inRequest}
		if err := all.add(use, token.Text, h.scheme().Password(token.Text)); err != nil {
			return err
		}
	}
	if err := h.shareNames(all); err != nil || h.printText == "" {
		return err
	}
	return all.add(textUse{h, "replay: key", nowhere}, h.printText)
}

// shareNames adds the names of the gate and of its keys.
func (h *Handler) shareNames(all texts) error {
	errs := []error{all.addName(textUse{h, "name", inLog}, h.Name)}
	for i, s := range h.Secrets {
		errs = append(errs, all.addName(textUse{h, fmt.Sprintf("secret %d, its name", i+1), inLog}, s.Name))
	}
	for i, s := range h.Tokens {
		errs = append(errs, all.addName(textUse{h, fmt.Sprintf("token %d, its name", i+1), inLog}, s.Name))
	}
	for i, k := range h.PublicKeys {
		errs = append(errs, all.addName(textUse{h, fmt.Sprintf("public_key %d, its name", i+1), inLog}, k.Name))
	}
	return errors.Join(errs...)
}

func (t texts) addName(use textUse, name string) error {
	if len(name) < minNamed {
		return nil
	}
	return t.add(use, name)
}

// formsOf returns the ways to write a secret as a text that is shown, without white space
// at its ends: with and without the prefix, and as the key that it decodes to.
func (h *Handler) formsOf(secret signature.Secret) []string {
	text, scheme := strings.TrimSpace(secret.Text), h.scheme()
	bare := strings.TrimPrefix(text, scheme.SecretPrefix)
	key, _ := scheme.Key(secret) // it decodes: there is a verifier
	return []string{text, bare, scheme.SecretPrefix + bare, string(key)}
}

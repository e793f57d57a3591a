package diagnosis

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A secretRow is one mistake with a secret: the variants of the gate's text that the
// sender may use, and the encoding and prefix with which they decode to its key.
type secretRow struct {
	diagnosis Diagnosis
	from      string // encodings of gates where the mistake can happen
	encoding  string
	prefix    string
	named     bool // the variant's name is an argument of the hint
	variants  func(text, prefix string) []signature.Secret
}

// secretRows lists every mistake with a secret, the smallest changes first.
var secretRows = []secretRow{
	{diagnosis: secretHasSurroundingWhitespace, from: "text", encoding: "text", variants: each(strings.TrimSpace)},
	{diagnosis: secretHasByteOrderMark, from: "text", encoding: "text", named: true, variants: unmarked},
	{diagnosis: secretIsQuoted, from: "text", encoding: "text", variants: each(unquote)},
	{diagnosis: secretNeedsWhsecDecode, from: "text", encoding: "base64", prefix: whsec, variants: each(onlyWhsec)},
	{diagnosis: secretNeedsBase64Decode, from: "text hex", encoding: "base64", variants: each(strings.TrimSpace)},
	{diagnosis: secretNeedsHexDecode, from: "text base64", encoding: "hex", variants: each(strings.TrimSpace)},
	{diagnosis: secretShouldNotBeDecoded, from: "base64 hex", encoding: "text", named: true, variants: undecoded},
	{diagnosis: senderSecretEndsWithNewline, from: "text", encoding: "text", named: true, variants: withEnding},
	{diagnosis: senderSecretIsQuoted, from: "text", encoding: "text", named: true, variants: quoted},
	{diagnosis: senderKeyIsBase64OfSecret, from: "text", encoding: "text", variants: each(base64Text)},
	{diagnosis: senderKeyIsHexOfSecret, from: "text", encoding: "text", variants: each(hexText)},
	{diagnosis: secretLacksWhsec, from: "text", encoding: "text", variants: each(withWhsec)},
	{diagnosis: senderSecretIsEmpty, from: "text base64 hex", encoding: "text", variants: empty},
}

const whsec = "whsec_"

// secretDeviations compiles the rows for one gate.
func secretDeviations(scheme signature.Scheme, secrets []signature.Secret) []deviation {
	var all []deviation
	own := cmp.Or(scheme.SecretEncoding, "text")
	for _, row := range secretRows {
		if !slices.Contains(strings.Fields(row.from), own) {
			continue
		}
		s := scheme
		s.SecretEncoding, s.SecretPrefix = row.encoding, row.prefix
		d := deviation{diagnosis: row.diagnosis, named: row.named}
		if d.compile(s, row.among(secrets, scheme)) {
			all = append(all, d)
		}
	}
	return all
}

// among returns the row's variants of all secrets, except those that change nothing.
func (row *secretRow) among(secrets []signature.Secret, scheme signature.Scheme) []signature.Secret {
	var all []signature.Secret
	same := row.encoding == cmp.Or(scheme.SecretEncoding, "text")
	for _, secret := range secrets {
		for _, v := range row.variants(secret.Text, scheme.SecretPrefix) {
			known := func(other signature.Secret) bool { return other.Text == v.Text }
			if slices.ContainsFunc(all, known) || same && slices.ContainsFunc(secrets, known) {
				continue
			}
			all = append(all, v)
		}
	}
	return all
}

// compile drops the secrets that do not decode, and reports whether any is left.
func (d *deviation) compile(scheme signature.Scheme, secrets []signature.Secret) bool {
	usable := slices.DeleteFunc(slices.Clone(secrets), func(s signature.Secret) bool {
		_, err := signature.New(scheme, []signature.Secret{s})
		return err != nil
	})
	d.macs = len(usable)
	d.verifier, _ = signature.New(scheme, usable) // nil if none is usable
	return d.verifier != nil
}

// each makes one variant of a secret, without a name.
func each(change func(string) string) func(text, prefix string) []signature.Secret {
	return func(text, _ string) []signature.Secret {
		return []signature.Secret{{Text: change(text)}}
	}
}

// unquote returns the text between two equal quotes, or "". An empty secret does not
// compile, so then there is no variant.
func unquote(text string) string {
	text = strings.TrimSpace(text)
	if len(text) < 3 || !strings.Contains("\"'`", text[:1]) || text[0] != text[len(text)-1] {
		return ""
	}
	return text[1 : len(text)-1]
}

func onlyWhsec(text string) string {
	if !strings.HasPrefix(text, whsec) {
		return ""
	}
	return strings.TrimSpace(text)
}

// withWhsec puts back the prefix that senders such as Stripe sign with, and that many
// take off because others do not.
func withWhsec(text string) string {
	if strings.HasPrefix(text, whsec) {
		return ""
	}
	return whsec + text
}

func undecoded(text, prefix string) []signature.Secret {
	variants := []signature.Secret{{Name: "secret_encoding text", Text: text}}
	if rest, ok := strings.CutPrefix(text, prefix); ok && prefix != "" {
		variants = append(variants, signature.Secret{Name: "secret_encoding text " + prefix, Text: rest})
	}
	return variants
}

func withEnding(text, _ string) []signature.Secret {
	return []signature.Secret{
		{Name: "a newline at its end", Text: text + "\n"},
		{Name: "a carriage return and a newline at its end", Text: text + "\r\n"},
		{Name: "a blank at its end", Text: text + " "},
		{Name: "a blank in front", Text: " " + text},
	}
}

func quoted(text, _ string) []signature.Secret {
	return []signature.Secret{{Name: "double", Text: `"` + text + `"`}, {Name: "single", Text: "'" + text + "'"}}
}

// unmarked returns the text after a byte order mark, which editors and PowerShell put at
// the beginning of a file. Without a mark there is no variant.
func unmarked(text, _ string) []signature.Secret {
	if rest, ok := strings.CutPrefix(text, utf8Mark); ok {
		return []signature.Secret{{Name: "UTF-8 with a byte order mark", Text: strings.TrimSpace(rest)}}
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case strings.HasPrefix(text, "\xFE\xFF"):
		order = binary.BigEndian
	case !strings.HasPrefix(text, "\xFF\xFE"):
		return nil
	}
	units := make([]uint16, len(text)/2-1)
	for i := range units {
		units[i] = order.Uint16([]byte(text[2*i+2:]))
	}
	return []signature.Secret{{Name: "UTF-16", Text: strings.TrimSpace(string(utf16.Decode(units)))}}
}

// utf8Mark is the byte order mark in UTF-8.
const utf8Mark = "\xEF\xBB\xBF"

func base64Text(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
func hexText(text string) string    { return hex.EncodeToString([]byte(text)) }

func empty(string, string) []signature.Secret { return []signature.Secret{signature.EmptyKey()} }

// gates tries the secrets and the schemes of the other gates of the same configuration.
func (t *trial) gates(others []*Gate) Finding {
	for _, other := range others[:min(len(others), maxGates)] {
		if other == nil || other == t.gate {
			continue
		}
		if _, ok := t.verifies(t.gate.with(other), 0, &t.delivery, t.body); ok { // bounded by maxGates
			if t.keys.isPublic() {
				return finding(signedWithAnotherGatesKey, other.name)
			}
			return finding(signedWithAnotherGatesSecret, other.name)
		}
		if _, ok := t.verifies(other.load().plain, 0, &t.delivery, t.body); ok {
			return finding(meantForAnotherGate, other.name)
		}
	}
	return Finding{}
}

// with returns a verifier with the gate's scheme and another gate's secrets.
func (g *Gate) with(other *Gate) *signature.Verifier {
	scheme := g.scheme
	scheme.SecretEncoding, scheme.SecretPrefix = other.scheme.SecretEncoding, other.scheme.SecretPrefix
	scheme.KeyID = "" // the names of the keys differ
	k := other.load().keys
	k.public = k.public[:min(len(k.public), maxSecrets)]
	v, _ := k.compile(scheme) // nil where the one has secrets, and the other public keys
	return v
}

package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A PublicKey is a sender's. Nothing of it is secret, but its text may be a private key
// that was given by mistake, so that no error shows it.
type PublicKey struct {
	Name string // what a key_id field calls it
	Text string // PEM (SPKI or certificate), SPKI in base64, or an Ed25519 key as it is
}

// maxKeyText is how long the text of a key may be. A certificate of RSA-8192 has 4 KiB.
const maxKeyText = 64 << 10

// whpk is what Standard Webhooks writes in front of a public key.
const whpk = "whpk_"

// parse returns the key, and when the certificate ends that it comes from.
func (k PublicKey) parse() (crypto.PublicKey, time.Time, error) {
	text := strings.TrimSpace(strings.TrimPrefix(k.Text, "\uFEFF"))
	switch {
	case len(text) > maxKeyText:
		return nil, time.Time{}, fmt.Errorf("has %d bytes, and no key is longer than %d", len(text), maxKeyText)
	case text == "":
		return nil, time.Time{}, errors.New("is empty")
	case strings.Contains(text, beginning):
		return parsePEM(text)
	}
	if mistake := mistaken(text); mistake != "" {
		return nil, time.Time{}, errors.New(mistake)
	}
	key, err := parseCoded(strings.TrimPrefix(text, whpk))
	return key, time.Time{}, err
}

// mistaken says what a text is that someone wrote as a public key and that is not one.
func mistaken(text string) string {
	for _, row := range []struct{ prefix, mistake string }{
		{"whsec_", "is a secret of Standard Webhooks; write it as secret"},
		{"whsk_", "is the private key of Standard Webhooks, which only the sender may have: have a new pair made, and write the public one, which begins with whpk_"},
		{"ssh-", "is a key of SSH, which signs no webhooks; write the key as PEM, for example with: ssh-keygen -e -m PKCS8 -f key.pub"},
		{"ecdsa-sha2-", "is a key of SSH, which signs no webhooks; write the key as PEM, for example with: ssh-keygen -e -m PKCS8 -f key.pub"},
		{"{", "is a JSON document; write the key as PEM. A JWK is not read"},
		{"http://", "is a URL; a gate fetches nothing. Store what it returns in a file, and write {file./path}"},
		{"https://", "is a URL; a gate fetches nothing. Store what it returns in a file, and write {file./path}"},
	} {
		if strings.HasPrefix(text, row.prefix) {
			return row.mistake
		}
	}
	return ""
}

var errPrivate = errors.New("is a private key, which only the sender may have: take it out of the configuration, have a new pair made if it is a sender's, " +
	"and write the public key, for example that of: openssl pkey -in private.pem -pubout")

var errManyPEM = errors.New("holds more than one PEM block; write one key or one certificate, and each further key as a public_key of its own")

// beginning is in front of the type of a PEM block.
const beginning = "-----BEGIN "

var privateBlock = regexp.MustCompile(beginning + "[A-Z0-9 ]*PRIVATE")

// parsePEM reads one block with nothing but text around it. It counts blocks by their
// beginnings, because encoding/pem skips one that it cannot read.
func parsePEM(text string) (crypto.PublicKey, time.Time, error) {
	block, _ := pem.Decode([]byte(text))
	switch {
	case privateBlock.MatchString(text): // whatever is beside it, such as its certificate
		return nil, time.Time{}, errPrivate
	case strings.Count(text, beginning) > 1:
		return nil, time.Time{}, errManyPEM
	case block == nil && isFramed(text):
		return nil, time.Time{}, errors.New("is PEM, but the base64 between its BEGIN and END lines is damaged; copy the key again")
	case block == nil:
		return nil, time.Time{}, errors.New(`is not PEM: write "-----BEGIN PUBLIC KEY-----" before the key and "-----END PUBLIC KEY-----" after it, on lines of their own without blanks in front; put it into a file and write {file./path}`)
	}
	switch block.Type {
	case "PUBLIC KEY":
		key, err := parseSPKI(block.Bytes)
		return key, time.Time{}, err
	case "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, time.Time{}, errDamaged
		}
		return key, time.Time{}, nil
	case "CERTIFICATE":
		return parseCertificate(block.Bytes)
	}
	return nil, time.Time{}, fmt.Errorf("is a PEM block %q; write one with PUBLIC KEY or CERTIFICATE", clip(block.Type))
}

var beginLine = regexp.MustCompile(`(?m)^` + beginning + `([A-Z0-9 ]+)-----[ \t\r]*$`)

// isFramed reports whether text has the BEGIN and END lines of one PEM block.
func isFramed(text string) bool {
	m := beginLine.FindStringSubmatchIndex(text)
	return m != nil && strings.Contains(text[m[1]:], "\n-----END "+text[m[2]:m[3]]+"-----")
}

// clip keeps what an error quotes short.
func clip(text string) string { return text[:min(len(text), 40)] }

func parseCertificate(der []byte) (crypto.PublicKey, time.Time, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, time.Time{}, errors.New("is no certificate that can be read; take it from the sender's settings again")
	}
	key, err := known509(certificate.PublicKey)
	return key, certificate.NotAfter, err
}

var errDamaged = errors.New("is no public key that can be read: it is cut off, or changed; take it from the sender's settings again")

// parseSPKI reads DER. crypto/x509 ignores the parameters of an Ed25519 key.
func parseSPKI(der []byte) (crypto.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, damaged(der)
	}
	return known509(key)
}

// damaged says why DER is no public key.
func damaged(der []byte) error {
	var private struct {
		Version   int
		Algorithm asn1.RawValue
	}
	if _, err := asn1.Unmarshal(der, &private); err == nil && private.Version <= 1 {
		return errPrivate // PKCS #8, and PKCS #1 and SEC 1 too, begin with a version
	}
	var spki struct {
		Algorithm struct {
			Name       asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		Key asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &spki); err == nil && len(rest) == 0 {
		if spki.Algorithm.Name.Equal(idECPublicKey) && isCompressed(spki.Key.Bytes) {
			return errors.New("has a compressed point, which is not read; convert it with: openssl ec -pubin -in key.pem -conv_form uncompressed")
		}
		var curve asn1.ObjectIdentifier
		_, _ = asn1.Unmarshal(spki.Algorithm.Parameters.FullBytes, &curve) // none: it is no curve
		return fmt.Errorf("is damaged, or of an algorithm or a curve that is not taken (%s); there are %s", strings.TrimSpace(spki.Algorithm.Name.String()+" "+curve.String()), known(true))
	}
	return errDamaged
}

// idECPublicKey is the algorithm of every ECDSA key in SPKI (RFC 5480, section 2.1.1).
var idECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

// Sizes of points on P-256 (SEC 1, section 2.3.3).
const (
	compressedSize = 33
	pointSize      = 65
)

func isCompressed(point []byte) bool { return len(point) > 0 && (point[0] == 2 || point[0] == 3) }

// barePoint says what to do with a point of P-256 that has no SPKI around it, or "". The
// digits in the command are the beginning of an SPKI that ends in the point.
func barePoint(key []byte) string {
	var what, header string
	switch {
	case len(key) == compressedSize && isCompressed(key):
		what, header = "a compressed point", "3039301306072a8648ce3d020106082a8648ce3d030107032200"
	case len(key) == pointSize && key[0] == 4:
		what, header = "a point", "3059301306072a8648ce3d020106082a8648ce3d030107034200"
	default:
		return ""
	}
	return fmt.Sprintf("is %s of P-256 alone, of %d bytes; write the key as PEM, which this command makes of its hex digits: "+
		"(echo %s; echo <hex>) | xxd -r -p | openssl ec -pubin -inform DER -conv_form uncompressed", what, len(key), header)
}

// known509 keeps the types that an algorithm may take.
func known509(key any) (crypto.PublicKey, error) {
	switch key.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey, *rsa.PublicKey:
		return key, nil
	}
	return nil, fmt.Errorf("is %s; there are %s", typeOf(key), known(true))
}

// parseCoded reads a key without PEM: SPKI, or the 32 bytes of an Ed25519 key.
func parseCoded(text string) (crypto.PublicKey, error) {
	der, err := decodeKeyText(text)
	switch {
	case err != nil:
		return nil, err
	case len(der) == ed25519.PublicKeySize:
		return ed25519.PublicKey(der), nil
	case len(der) == ed25519.PrivateKeySize:
		return nil, errors.New("has 64 bytes, which is a private key of Ed25519 or a signature: take it out of the configuration, and write the 32 bytes of the public key")
	case barePoint(der) != "":
		return nil, errors.New(barePoint(der))
	case len(der) > 0 && der[0] == 0x30:
		return parseSPKI(der)
	}
	return nil, fmt.Errorf("has %d bytes; an Ed25519 key has 32, and every other key is PEM or SPKI in base64", len(der))
}

// decodeKeyText reads hex or base64, of either alphabet, with padding or without. White
// space is where a file has broken lines. No key in base64 consists of hex digits alone.
func decodeKeyText(text string) ([]byte, error) {
	text = strings.Join(strings.Fields(text), "")
	if key, err := hex.DecodeString(text); err == nil {
		return key, nil
	}
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	if trimmed := strings.TrimRight(text, "="); len(text)%4 == 0 && len(text)-len(trimmed) <= 2 {
		text = trimmed
	}
	key, err := encoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("is neither PEM, nor SPKI in base64, nor an Ed25519 key in hex or base64; take it from the sender's settings again")
	}
	return key, nil
}

// A publicKey is one public key, compiled for one algorithm.
type publicKey struct {
	key     crypto.PublicKey
	size    int  // bytes of a signature at most
	exact   bool // signatures have exactly that size
	id      []byte
	expires time.Time // zero: never
}

// takes reports whether the key could have made a signature of that length.
func (p *publicKey) takes(n int) bool { return n == p.size || !p.exact && n < p.size }

// CheckPublicKey reports a key that the scheme cannot verify with. The error has no
// subject, and shows neither the text nor the name. What is wrong with the scheme is not
// reported here.
func (s Scheme) CheckPublicKey(key PublicKey) error {
	compiled, err := s.compile()
	if err != nil || compiled.public() == nil {
		_, _, err = key.parse()
		return err
	}
	_, err = newPublicKey(key, compiled.public())
	return err
}

// newPublicKey refuses what is no key of the algorithm, and what could never verify.
func newPublicKey(k PublicKey, a *algorithm) (*publicKey, error) {
	key, expires, err := k.parse()
	if err != nil {
		return nil, err
	}
	p := &publicKey{key: key, expires: expires}
	if p.size, err = a.public.check(key); err != nil {
		return nil, fmt.Errorf("%w%s", err, instead(err, key))
	}
	_, p.exact = key.(*rsa.PublicKey)
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot be written as SPKI: %w", err)
	}
	id := sha256.Sum256(spki)
	p.id = id[:]
	return p, a.try(p)
}

// instead says what to write where a key is of another algorithm.
func instead(err error, key crypto.PublicKey) string {
	var names []string
	for i := range algorithms {
		if a := algorithms[i].public; a != nil {
			if _, err := a.check(key); err == nil {
				names = append(names, algorithms[i].name)
			}
		}
	}
	if _, ok := errors.AsType[errWrongKey](err); !ok {
		return ""
	}
	if names == nil {
		return "; none of the algorithms takes it: there are " + known(true)
	}
	return "; take the right key, or write algorithms " + strings.Join(names, " or ")
}

// Expired returns the names of public keys whose certificate has ended.
func (v *Verifier) Expired(now time.Time) []string {
	return v.which(func(p *publicKey) bool { return !p.expires.IsZero() && p.expires.Before(now) })
}

// SmallExponents returns the names of RSA keys with an exponent below the usual one, with
// which more mistakes of a sender are fatal.
func (v *Verifier) SmallExponents() []string {
	return v.which(func(p *publicKey) bool {
		key, ok := p.key.(*rsa.PublicKey)
		return ok && key.E < usualExponent
	})
}

func (v *Verifier) which(is func(*publicKey) bool) []string {
	var names []string
	for _, k := range v.keys {
		if k.public != nil && is(k.public) {
			names = append(names, k.name)
		}
	}
	return names
}

// try verifies a dummy, so that a key that never could, as in a FIPS 140-only build, does
// not load.
func (a *algorithm) try(p *publicKey) error {
	var message []byte
	if a.public.hash != 0 {
		message = make([]byte, a.public.hash.Size())
	}
	signature := make([]byte, p.size)
	signature[p.size-1] = 1
	if err := a.public.verify(p.key, message, signature); !errors.Is(err, errMismatch) {
		return fmt.Errorf("cannot verify %s: %w", a.name, err)
	}
	return nil
}

package diagnosis

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Inspect judges the header section by its form alone and computes no MAC. It returns a
// zero Finding if it finds nothing.
func (g *Gate) Inspect(d *signature.Delivery, reason refusal.Reason) Finding {
	if g.load().keys.isToken() {
		return Finding{} // see Check and Diagnose
	}
	if reason == refusal.MissingSignature {
		return g.elsewhere(d)
	}
	if field := g.ownField(d.Header); field != "" && isBase64OfHex(d.Header[field][0]) {
		return finding(signatureIsBase64OfHex)
	}
	for _, form := range g.load().forms[reason] {
		if _, err := form.verifier.Begin(d); err == nil {
			return form.finding("")
		}
	}
	for _, a := range g.attempts(d, reason) {
		if a.fits(g.load()) {
			return finding(a.diagnosis, a.args...)
		}
	}
	switch reason {
	case refusal.KeyUnknown:
		return finding(keyIsUnknown, g.scheme.KeyID)
	case refusal.MalformedSignature:
		if field := g.ownField(d.Header); field != "" {
			if f := g.otherType(d.Header[field][0]); f.Diagnosis != "" {
				return f
			}
		}
	case refusal.TimestampOutOfRange:
		return g.skew(d, "")
	case refusal.TimestampMalformed:
		return g.unreadable(d.Header, "")
	}
	return g.tagsDiffer(d, reason)
}

// isBase64OfHex reports whether a value ends with the hex digits of a digest, written in
// base64. No digest that is written in base64 itself is hex digits alone.
func isBase64OfHex(value string) bool {
	label := strings.LastIndexAny(strings.TrimRight(value, "="), "=:, ") // its last mark
	digits, err := base64.StdEncoding.DecodeString(value[label+1:])
	if err != nil || len(digits) < 2*20 {
		return false
	}
	_, err = hex.DecodeString(string(digits))
	return err == nil
}

// right is added to a hint if the digest was proven right.
const right = " The signature itself is right."

// unreadable says what is wrong with a time that cannot be read.
func (g *Gate) unreadable(h http.Header, more string) Finding {
	text := g.stamp(h)
	if g.scheme.TimestampUnit == "http" {
		return Finding{}
	}
	if g.scheme.TimestampUnit == "rfc3339" {
		_, err := time.Parse("2006-01-02T15:04:05", text)
		_, zoned := time.Parse(time.RFC3339Nano, text)
		if err == nil || zoned == nil {
			return finding(timestampHasNoZone, more)
		}
		return Finding{}
	}
	whole, fraction, ok := strings.Cut(text, ".")
	if !ok || !isNumber(whole) || !isNumber(fraction) {
		return Finding{}
	}
	return finding(timestampIsFraction, map[string]string{"": "seconds", "s": "seconds", "ms": "milliseconds"}[g.scheme.TimestampUnit], more)
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// stampless returns the scheme with the text of the time as plain text, which is signed
// but not judged. It proves the digest of a delivery whose time cannot be read, and
// nothing else.
func (g *Gate) stampless(text string) signature.Scheme {
	s := g.scheme
	s.Timestamp, s.TimestampUnit, s.Tolerance, s.Ahead = "", "", 0, 0
	s.Payload = strings.ReplaceAll(s.Payload, "{ts}", text)
	if strings.Contains(s.Signature, "{ts}") {
		from, to := digestIn(s.Signature)
		s.Signature = g.tag() + s.Signature[from:to] + g.separator() + "..."
	}
	return s
}

// hops are fields that proxies, CDNs and relays add. A client may send them too, so they
// are a hint and not a proof.
var hops = []string{
	"Akamai-Origin-Hop", "Cdn-Loop", "Cf-Connecting-Ip", "Cf-Ray", "Fastly-Client-Ip", "Fastly-Ff", "Fly-Request-Id", "Forwarded",
	"True-Client-Ip", "Via", "X-Amz-Cf-Id", "X-Amzn-Trace-Id", "X-Arr-Log-Id", "X-Azure-Ref", "X-Cloud-Trace-Context",
	"X-Envoy-External-Address", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server",
	"X-Hookdeck-Eventid", "X-Nf-Request-Id", "X-Original-Url", "X-Real-Ip", "X-Request-Start", "X-Served-By", "X-Varnish", "X-Vercel-Id",
}

// Hops returns the names of the fields in h that a proxy, CDN or relay adds, sorted.
func Hops(h http.Header) []string {
	var names []string
	for _, name := range hops {
		if len(h[name]) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// clock tries the delivery at the time of signing that it claims.
func (t *trial) clock() Finding {
	if t.reason == refusal.TimestampMalformed {
		return t.unreadable()
	}
	at, ok := t.gate.signedAt(t.delivery.Header)
	then := t.delivery
	then.Now = at
	if t.reason != refusal.TimestampOutOfRange || !ok || !t.plainly(&then, t.body) {
		return Finding{}
	}
	return t.gate.skew(&t.delivery, right)
}

// unreadable proves the digest of a delivery whose time cannot be read.
func (t *trial) unreadable() Finding {
	found := t.gate.unreadable(t.delivery.Header, right)
	if found.Diagnosis == "" {
		return found
	}
	if !t.verifiesAs(t.gate.stampless(t.gate.stamp(t.delivery.Header))) {
		return Finding{}
	}
	return found
}

// skew says by how much the time of signing is off.
func (g *Gate) skew(d *signature.Delivery, more string) Finding {
	at, ok := g.signedAt(d.Header)
	if !ok {
		return Finding{}
	}
	tolerance, ahead := g.scheme.Tolerances()
	now, direction := d.Now, "past"
	if now.IsZero() {
		now = time.Now()
	}
	age := now.Sub(at)
	if age < 0 {
		tolerance, direction = ahead, "future"
	}
	return finding(clockIsOff, int64(age.Abs().Seconds()), direction, int64(tolerance.Seconds()), more)
}

// signedAt reads the time of signing. It may be less strict than the judge, which has
// read the time already.
func (g *Gate) signedAt(h http.Header) (at time.Time, ok bool) {
	text := g.stamp(h)
	if layout := map[string]string{"rfc3339": time.RFC3339Nano, "http": http.TimeFormat}[g.scheme.TimestampUnit]; layout != "" {
		at, err := time.Parse(layout, text)
		return at, err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if g.scheme.TimestampUnit == "ms" {
		return time.UnixMilli(n), err == nil
	}
	return time.Unix(n, 0), err == nil
}

// stamp returns the text of the time, from its own field or from the item of the
// signature that has its tag.
func (g *Gate) stamp(h http.Header) string {
	tag, _, stamped := strings.Cut(g.scheme.Signature, "{ts}")
	if !stamped {
		return h.Get(g.scheme.Timestamp)
	}
	tag = strings.TrimLeft(tag[strings.LastIndexAny(tag, ",;")+1:], " ")
	for _, name := range g.fields {
		for item := range strings.SplitSeq(h.Get(name), g.separator()) { // without tags, the first one
			if text, ok := strings.CutPrefix(strings.TrimLeft(item, " "), tag); ok {
				return text
			}
		}
	}
	return ""
}

// urls lists the mistakes with the URL that a sender signs.
var urls = []struct {
	name   string
	change func(url string) string
}{
	{"with http:// instead of https://, or the other way round", otherProtocol},
	{"with, or without, a slash at its end", otherSlash},
	{"with the other one of http:// and https://, and with or without a slash at its end", func(url string) string { return otherProtocol(otherSlash(url)) }},
	{"without its query", func(url string) string { before, _, _ := strings.Cut(url, "?"); return before }},
}

func otherProtocol(url string) string {
	if rest, ok := strings.CutPrefix(url, "http://"); ok {
		return "https://" + rest
	}
	return "http://" + strings.TrimPrefix(url, "https://")
}

func otherSlash(url string) string {
	if rest, ok := strings.CutSuffix(url, "/"); ok {
		return rest
	}
	return url + "/"
}

// url tries other spellings of the URL that is signed.
func (t *trial) url() Finding {
	if !t.gate.scheme.NeedsURL() {
		return Finding{}
	}
	for _, row := range urls {
		elsewhere := t.delivery
		elsewhere.URL = row.change(t.delivery.URL)
		if elsewhere.URL != t.delivery.URL && t.plainly(&elsewhere, t.body) {
			return finding(urlDiffers, row.name)
		}
	}
	return Finding{}
}

// targets lists the mistakes with the path and query that a sender signs.
var targets = []struct {
	name   string
	change func(target string) string
}{
	{"without the query", urls[3].change},
	{"with, or without, a slash at the end of the path", func(target string) string {
		path, query, asks := strings.Cut(target, "?")
		if path = otherSlash(path); asks {
			path += "?" + query
		}
		return path
	}},
	{"with its percent codes decoded", func(target string) string {
		plain, err := url.PathUnescape(target)
		if err != nil {
			return target
		}
		return plain
	}},
}

// target tries other spellings of the path and query that are signed.
func (t *trial) target() Finding {
	if !t.gate.scheme.NeedsTarget() {
		return Finding{}
	}
	for _, row := range targets {
		elsewhere := t.delivery
		elsewhere.Target = row.change(t.delivery.Target)
		if elsewhere.Target != t.delivery.Target && t.plainly(&elsewhere, t.body) {
			return finding(targetDiffers, row.name)
		}
	}
	return Finding{}
}

// hashes tries the other words for the body, where the gate's payload has a hash of it. What
// a sender signs instead of the body itself is found among the bodies.
func (t *trial) hashes() Finding {
	if !t.gate.scheme.SignsHash() {
		return Finding{}
	}
	own, name := bodyWord(t.gate.scheme)
	for _, row := range bodyWords {
		if changed := signing(t.gate.scheme, row.word); row.word != own && t.verifiesAs(changed) {
			return finding(bodyHashDiffers, row.name, name, cure(t.gate.scheme, changed))
		}
	}
	return Finding{}
}

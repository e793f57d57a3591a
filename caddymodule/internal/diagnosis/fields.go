package diagnosis

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Inspect looks at the header section alone, by its form: it finishes no MAC. It
// returns a zero Finding where it has nothing to say.
func (g *Gate) Inspect(d *signature.Delivery, refusal signature.Refusal) Finding {
	if refusal == signature.MissingSignature {
		return g.elsewhere(d.Header)
	}
	for _, form := range g.load().forms[refusal] {
		if _, err := form.verifier.Begin(d); err == nil {
			return form.finding("")
		}
	}
	if refusal == signature.TimestampOutOfRange {
		return g.skew(d, "")
	}
	return Finding{}
}

// A carrier is a field that carries the signatures of a preset.
type carrier struct{ field, preset string }

// carriers are the fields of all presets, each once; of those of one family, the
// stronger first.
var carriers = sync.OnceValue(func() []carrier {
	var all []carrier
	for _, preset := range signature.Presets() {
		for _, field := range fieldsOf(preset.Scheme) {
			known := func(c carrier) bool { return c.field == field }
			if !slices.ContainsFunc(all, known) {
				all = append(all, carrier{field, preset.Name})
			}
		}
	}
	return all
})

// fieldsOf returns the fields of a scheme that may carry the signature.
func fieldsOf(s signature.Scheme) []string {
	names := s.Headers
	if len(names) == 0 {
		names = signature.DefaultHeaders
	}
	fields := make([]string, len(names))
	for i, name := range names {
		fields[i] = http.CanonicalHeaderKey(name)
	}
	return fields
}

// foreign returns the carriers in h that the gate does not read.
func (g *Gate) foreign(h http.Header) []carrier {
	var present []carrier
	for _, c := range carriers() {
		if len(h[c.field]) > 0 && !slices.Contains(g.fields, c.field) {
			present = append(present, c)
		}
	}
	return present
}

// ForeignFields returns the fields in h that carry signatures of other senders
// than this gate's, sorted.
func (g *Gate) ForeignFields(h http.Header) []string {
	var names []string
	for _, c := range g.foreign(h) {
		names = append(names, c.field)
	}
	slices.Sort(names)
	return names
}

// elsewhere is silent where the gate's own field is present: then another field is
// missing, which is signed with it.
func (g *Gate) elsewhere(h http.Header) Finding {
	present := g.foreign(h)
	own := slices.ContainsFunc(g.fields, func(name string) bool { return len(h[name]) > 0 })
	if own || len(present) == 0 {
		return Finding{}
	}
	return finding(SignatureInAnotherField, present[0].field, present[0].preset)
}

// hops are fields that proxies, CDNs and relays add. An app's own client may send
// them too; they are a trace, no proof.
var hops = []string{
	"Akamai-Origin-Hop", "Cdn-Loop", "Cf-Connecting-Ip", "Cf-Ray", "Fastly-Client-Ip", "Fastly-Ff", "Fly-Request-Id", "Forwarded",
	"True-Client-Ip", "Via", "X-Amz-Cf-Id", "X-Amzn-Trace-Id", "X-Arr-Log-Id", "X-Azure-Ref", "X-Cloud-Trace-Context",
	"X-Envoy-External-Address", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Server",
	"X-Hookdeck-Eventid", "X-Nf-Request-Id", "X-Original-Url", "X-Real-Ip", "X-Request-Start", "X-Served-By", "X-Varnish", "X-Vercel-Id",
}

// Hops returns the names of the fields in h which say that a proxy, CDN or relay
// was on the way, sorted.
func Hops(h http.Header) []string {
	var names []string
	for _, name := range hops {
		if len(h[name]) > 0 {
			names = append(names, name)
		}
	}
	return names
}

// clock tries the delivery at the time at which it says it was signed.
func (t *trial) clock() Finding {
	at, ok := t.gate.signedAt(t.delivery.Header)
	then := t.delivery
	then.Now = at
	if t.refusal != signature.TimestampOutOfRange || !ok || !t.plainly(&then, t.body) {
		return Finding{}
	}
	return t.gate.skew(&t.delivery, " The signature itself is right.")
}

// skew tells by how much the time of signing is off.
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
	return finding(ClockIsOff, int64(age.Abs().Seconds()), direction, int64(tolerance.Seconds()), more)
}

// signedAt reads the time of signing. It is looser than the judge, which has read
// it before.
func (g *Gate) signedAt(h http.Header) (at time.Time, ok bool) {
	text := g.stamp(h)
	if g.scheme.TimestampUnit == "rfc3339" {
		at, err := time.Parse(time.RFC3339Nano, text)
		return at, err == nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if g.scheme.TimestampUnit == "ms" {
		return time.UnixMilli(n), err == nil
	}
	return time.Unix(n, 0), err == nil
}

// stamp returns the text of the time: of a field of its own, or of the item with
// its tag in the signature.
func (g *Gate) stamp(h http.Header) string {
	tag, _, stamped := strings.Cut(g.scheme.Signature, "{ts}")
	if !stamped {
		return h.Get(g.scheme.Timestamp)
	}
	tag = strings.TrimLeft(tag[strings.LastIndexAny(tag, ",;")+1:], " ")
	isSeparator := func(r rune) bool { return r == ',' || r == ';' || r == ' ' }
	for _, name := range g.fields {
		for _, item := range strings.FieldsFunc(h.Get(name), isSeparator) {
			if text, ok := strings.CutPrefix(item, tag); ok {
				return text
			}
		}
	}
	return ""
}

// urls are the mistakes with the URL that a sender signs.
var urls = []struct {
	name   string
	change func(url string) string
}{
	{"with http:// or https:// in place of the other", otherProtocol},
	{"with, or without, a slash at its end", otherSlash},
	{"with the other of http:// and https://, and with or without a slash at its end", func(url string) string { return otherProtocol(otherSlash(url)) }},
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

// url tries other ways to write the URL that is signed.
func (t *trial) url() Finding {
	if !t.gate.scheme.NeedsURL() {
		return Finding{}
	}
	for _, row := range urls {
		elsewhere := t.delivery
		elsewhere.URL = row.change(t.delivery.URL)
		if elsewhere.URL != t.delivery.URL && t.plainly(&elsewhere, t.body) {
			return finding(URLDiffers, row.name)
		}
	}
	return Finding{}
}

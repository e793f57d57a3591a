package signature_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// A reading is one way to take signed bytes apart: the value of each placeholder.
type reading map[string]string

// placeholder finds those of a template.
var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// template is a payload, cut into text and placeholders.
func template(payload string) (parts []string) {
	for at := 0; at < len(payload); {
		next := placeholder.FindStringIndex(payload[at:])
		if next == nil {
			return append(parts, payload[at:])
		}
		if next[0] > 0 {
			parts = append(parts, payload[at:at+next[0]])
		}
		parts = append(parts, payload[at+next[0]:at+next[1]])
		at += next[1]
	}
	return parts
}

const readingURL = "https://a.example/"

// hashShapes is what a hash of the body looks like. What it is the hash of does not matter:
// nobody finds another body, but whoever chooses a field may have chosen a hash in it.
var hashShapes = map[string]*regexp.Regexp{
	"{body_sha256}":        regexp.MustCompile(`\A[0-9a-f]{64}`),
	"{body_sha512}":        regexp.MustCompile(`\A[0-9a-f]{128}`),
	"{body_sha256_base64}": regexp.MustCompile(`\A[A-Za-z0-9+/]{43}=`),
	"{body_sha512_base64}": regexp.MustCompile(`\A[A-Za-z0-9+/]{86}==`),
}

// fixedText is what a part always is; ok is false where the request says it.
func fixedText(part string) (text string, ok bool) {
	switch part {
	case "{lf}", "{cr}", "{tab}":
		return map[string]string{"{lf}": "\n", "{cr}": "\r", "{tab}": "\t"}[part], true
	case "{url}":
		return readingURL, true
	}
	return part, !strings.HasPrefix(part, "{")
}

// write puts the signed bytes together.
func (r reading) write(parts []string) string {
	var b strings.Builder
	for _, part := range parts {
		if text, ok := fixedText(part); ok {
			b.WriteString(text)
		} else {
			b.WriteString(r[strings.ToLower(part)])
		}
	}
	return b.String()
}

// timeLetters are those of a time in any unit.
const timeLetters = "0123456789-:.,TZ+ MonueWdhFriSatJbApylgOcNvDG"

// each calls found for every reading of message: it tries every cut, and knows nothing
// of what ends a value. It stops when found returns false.
func (r reading) each(parts []string, message string, found func() bool) bool {
	if len(parts) == 0 {
		return message != "" || found()
	}
	if text, ok := fixedText(parts[0]); ok {
		rest, ok := strings.CutPrefix(message, text)
		return !ok || r.each(parts[1:], rest, found)
	}
	name := strings.ToLower(parts[0])
	if known, ok := r[name]; ok { // it stands in the template twice
		rest, ok := strings.CutPrefix(message, known)
		return !ok || r.each(parts[1:], rest, found)
	}
	defer delete(r, name)
	if shape := hashShapes[name]; shape != nil {
		r[name] = shape.FindString(message)
		return r[name] == "" || r.each(parts[1:], message[len(r[name]):], found)
	}
	for n := 0; n <= len(message); n++ {
		if name == "{ts}" && strings.Trim(message[:n], timeLetters) != "" {
			return true // no longer one is a time
		}
		r[name] = message[:n]
		if !r.each(parts[1:], message[n:], found) {
			return false
		}
	}
	return true
}

// delivery is the request with the values of a reading.
func (r reading) delivery(at time.Time) *signature.Delivery {
	d := &signature.Delivery{Header: http.Header{field: {digest}}, Method: "POST", URL: readingURL, Target: r["{path_query}"], Now: at}
	if nonce, ok := r["{nonce}"]; ok {
		d.Header.Set(field, "t="+nonce+",s="+digest)
	}
	for name, value := range r {
		switch header, ok := strings.CutPrefix(name, "{header."); {
		case ok:
			d.Header.Set(strings.TrimSuffix(header, "}"), value)
		case name == "{ts}":
			d.Header.Set("X-Time", value)
		case name == "{method}":
			d.Method = value
		}
	}
	return d
}

func (r reading) String() string { return fmt.Sprintf("%q", map[string]string(r)) }

// instants are when a reading could be accepted: whoever holds a captured delivery
// chooses the moment, for as long as seconds since 1970 have ten digits.
func (r reading) instants(unit string) []time.Time {
	at := []time.Time{now}
	n, err := strconv.ParseInt(r["{ts}"], 10, 64)
	when := time.Unix(n, 0)
	switch unit {
	case "ms":
		when = time.UnixMilli(n)
	case "http":
		when, err = time.Parse(http.TimeFormat, r["{ts}"])
	case "rfc3339":
		zoned := r["{ts}"]
		if !regexp.MustCompile(`(Z|[+-]\d\d:\d\d)\z`).MatchString(zoned) {
			zoned += "Z"
		}
		when, err = time.Parse(time.RFC3339Nano, zoned)
	}
	if err == nil && when.Year() > 2001 && when.Year() < 2286 {
		at = append(at, when)
	}
	return at
}

// readable is a payload that compiles, with what judges its header section.
type readable struct {
	payload, unit string
	parts         []string
	verifier      *signature.Verifier
}

// compileReadable returns nil where the payload does not compile.
func compileReadable(payload, unit string) *readable {
	s := signature.Scheme{Headers: []string{field}, Signature: "{hex}", Payload: payload}
	if strings.Contains(payload, "{nonce}") {
		s.Signature = "t={nonce},s={hex}"
	}
	if strings.Contains(payload, "{ts}") {
		s.Timestamp, s.TimestampUnit, s.Tolerance = "X-Time", unit, signature.MaxTolerance
	}
	v, err := signature.New(s, []signature.Secret{{Name: "a", Text: secret}})
	if err != nil {
		return nil
	}
	return &readable{payload, unit, template(payload), v}
}

// takes reports whether the header section of a reading is accepted at some time.
func (p *readable) takes(r reading) bool {
	if strings.Contains(r["{nonce}"], ",") {
		return false // the field cannot hold it
	}
	for _, at := range r.instants(p.unit) {
		if _, err := p.verifier.Begin(r.delivery(at)); err == nil {
			return true
		}
	}
	return false
}

// wantOneReading looks for a second way to read what was signed for first.
func (p *readable) wantOneReading(t *testing.T, first reading) (taken bool) {
	t.Helper()
	if !p.takes(first) {
		return false
	}
	message, own, tries := first.write(p.parts), first.String(), 0
	r := reading{}
	r.each(p.parts, message, func() bool {
		if tries++; tries > 20_000 {
			return false
		}
		if other := r.String(); other != own && p.takes(r) {
			t.Errorf("%q in %s: %q is both %s and %s", p.payload, p.unit, message, own, other)
			return false
		}
		return true
	})
	return true
}

// pieces are what values are made of: all that templates hold, and times in all
// units.
var pieces = []string{
	"", "", "a", "b", "0", "1", "9", "-", "_", ".", ",", ":", "+", "Z", "T", "x", "\n", "{", "POST", "PUT", "h", "https:", readingURL,
	stamp, stamp + "000", "1699999999", "17000", "00000", "2023-11-14T22:13:20", "2023-11-14T22:13:2", ".5", ".25Z", "+00:00", "-00:00", "1", "1970",
	stamp + "x", "x" + stamp, stamp + "-", "-" + stamp, "a1700000001x", "x1700000001a",
	"/", "/", "/h?a=1", "?", "/1", " ", "|", "=", "==", "Tue, 14 Nov 2023 22:13:20 GMT", "Tue", "GMT", " GMT", "Wed, 15 Nov 2023 01:00:00 GMT",
	strings.Repeat("1700000000", 7)[:64], strings.Repeat("a", 63), strings.Repeat("A", 43),
}

// stamps are times that are accepted, in each unit.
var stamps = map[string][]string{
	"s":  {stamp, "1700000001", "1699999990"},
	"ms": {stamp + "000", stamp + "001", "1699999999999"},
	"rfc3339": {
		"2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5Z", "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20",
		"2023-11-14T22:13:20.25", "2023-11-14T21:13:20.123456789-01:00",
	},
	"http": {"Tue, 14 Nov 2023 22:13:20 GMT", "Wed, 15 Nov 2023 01:00:00 GMT"},
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func some(r *rand.Rand, most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString(pick(r, pieces))
	}
	return b.String()
}

// randomPayload is a template with {body} or a hash of it, and up to five other parts.
func randomPayload(r *rand.Rand) string {
	parts := []string{
		"{ts}", "{ts}", "{header.X-A}", "{header.X-A}", "{header.X-B}", "{method}", "{url}", "{lf}", ".", ":", "-", "5", "x", "Z", "+", ",", "a.", ".a", "v0:", "{cr}{lf}",
		"{path_query}", "{path_query}", "{nonce}", " ", "|", "/", "G", "a", "=",
	}
	bodies := []string{"{body}", "{body}", "{body}", "{body_sha256}", "{body_sha256}", "{body_sha256_base64}", "{body_sha512}", "{body_sha512_base64}"}
	var b strings.Builder
	before := r.IntN(5)
	for range before {
		b.WriteString(pick(r, parts))
	}
	b.WriteString(pick(r, bodies))
	for range r.IntN(max(5-before, 1)) {
		b.WriteString(pick(r, parts))
	}
	return b.String()
}

// someHash is a text of the shape of a hash, of few characters, so that a part of it can be
// a part of something else.
func someHash(r *rand.Rand, name string) string {
	if strings.Contains(name, "base64") {
		n, end := 43, "="
		if strings.Contains(name, "512") {
			n, end = 86, "=="
		}
		return strings.Repeat(pick(r, []string{"1", "17", "A", "T", "Z/", "GMT", "/h", "+0"}), n)[:n] + end
	}
	n := 64
	if strings.Contains(name, "512") {
		n = 128
	}
	return strings.Repeat(pick(r, []string{"0", "1", stamp, "17000", "a", "af1"}), n)[:n]
}

func randomReading(r *rand.Rand, p *readable) reading {
	first := reading{}
	for _, part := range p.parts {
		switch name := strings.ToLower(part); {
		case name == "{ts}":
			first[name] = pick(r, stamps[p.unit])
		case name == "{method}":
			first[name] = pick(r, []string{"POST", "PUT", "P", "POST" + pick(r, pieces)})
		case name == "{path_query}":
			first[name] = "/" + some(r, 2)
		case hashShapes[name] != nil:
			first[name] = someHash(r, name)
		case name == "{body}", name == "{nonce}", strings.HasPrefix(name, "{header."):
			first[name] = some(r, 3)
		}
	}
	return first
}

// readingUnits are all units of a time.
var readingUnits = []string{"s", "ms", "rfc3339", "http"}

// The signed bytes parse in exactly one way (see the package doc), for every
// template that compiles: whatever was signed, no second delivery with the same
// signed bytes is accepted, now or at another time.
func TestSignedBytesHaveOneReading(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	compiled, taken := make(map[string]bool), 0
	for _, p := range signature.Presets() {
		unit := p.Scheme.TimestampUnit
		if unit == "" {
			unit = "s"
		}
		read := compileReadable(p.Scheme.Payload, unit)
		if read == nil || p.Scheme.Payload == "" {
			continue // the body alone
		}
		for range 20 {
			read.wantOneReading(t, randomReading(r, read))
		}
	}
	for range 12_000 {
		payload := randomPayload(r)
		p := compileReadable(payload, pick(r, readingUnits))
		if p == nil {
			continue
		}
		compiled[payload] = true
		for range 4 {
			if p.wantOneReading(t, randomReading(r, p)) {
				taken++
			}
		}
		if t.Failed() {
			return
		}
	}
	if len(compiled) < 300 || taken < 500 {
		t.Errorf("only %d templates compile, and %d deliveries are accepted", len(compiled), taken)
	}
	for _, word := range []string{"{path_query}", "{nonce}", "{body_sha256}", "{body_sha512_base64}"} {
		n := 0
		for payload := range compiled {
			if strings.Contains(payload, word) {
				n++
			}
		}
		if n < 50 {
			t.Errorf("only %d templates with %s compile", n, word)
		}
	}
}

// FuzzReading searches on, with templates and values of the fuzzer's choice.
func FuzzReading(f *testing.F) {
	for _, p := range signature.Presets() {
		if p.Scheme.Payload != "" {
			f.Add(p.Scheme.Payload, uint64(1))
		}
	}
	for seed := range uint64(200) {
		f.Add(randomPayload(rand.New(rand.NewPCG(seed, 0))), seed)
	}
	f.Fuzz(func(t *testing.T, payload string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		if len(payload) > 60 || strings.Count(payload, "{") > 6 {
			return // it has too many readings
		}
		p := compileReadable(payload, pick(r, readingUnits))
		if p == nil {
			return
		}
		for range 3 {
			p.wantOneReading(t, randomReading(r, p))
		}
	})
}

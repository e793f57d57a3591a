package signature

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// A clock judges the time at which a delivery says it was signed. It bounds how
// long a captured delivery can be replayed.
type clock struct {
	on          bool
	field       string // canonical; empty where the pattern holds the time
	parse       func(string) (time.Time, error)
	past, ahead time.Duration
}

var units = map[string]func(string) (time.Time, error){
	"s": func(s string) (time.Time, error) {
		n, err := digits(s)
		return time.Unix(n, 0), err
	},
	"ms": func(s string) (time.Time, error) {
		n, err := digits(s)
		return time.UnixMilli(n), err
	},
	"rfc3339": func(s string) (time.Time, error) {
		if form := dateForm(s); form != time.RFC3339Nano {
			return time.Time{}, errNotDate
		}
		return time.Parse(time.RFC3339Nano, s)
	},
	"http": func(s string) (time.Time, error) {
		at, err := time.Parse(http.TimeFormat, s)
		if err != nil || at.Format(http.TimeFormat) != s { // it also takes other days of the week, and small letters
			return time.Time{}, errNotHTTPDate
		}
		return at, nil
	},
}

// isDate reports whether {ts} is a date, and not a number.
func (s Scheme) isDate() bool { return s.TimestampUnit == "rfc3339" || s.TimestampUnit == "http" }

// utc reads a date with or without a zone; without, it is UTC.
func utc(s string) (time.Time, error) {
	form := dateForm(s)
	if form == "" {
		return time.Time{}, errNotDate
	}
	return time.Parse(form, s)
}

var unitNames = mistake.Set{What: "unit of time", Words: []string{"s", "ms", "rfc3339", "http"}, Also: map[string]string{
	"sec": "s", "secs": "s", "second": "s", "seconds": "s", "unix": "s", "epoch": "s",
	"milli": "ms", "millis": "ms", "msec": "ms", "millisecond": "ms", "milliseconds": "ms",
	"imf": "http", "imffixdate": "http", "httpdate": "http", "gmt": "http", "rfc1123": "http", "rfc7231": "http", "rfc9110": "http",
	"iso": "rfc3339", "iso8601": "rfc3339", "date": "rfc3339", "rfc": "rfc3339",
}}

var (
	errNotDigits = errors.New("not a number of digits alone")
	errNotDate   = errors.New("not a date of RFC 3339")

	errNotHTTPDate = errors.New("not a date as HTTP writes it")
)

// zoneless is a date without its fraction and zone, as time.Parse reads it.
const zoneless = "2006-01-02T15:04:05"

// dateForm returns the layout of a date of RFC 3339, section 5.6, with T and Z as
// capitals, or of one without its zone, or "". time.Parse alone also takes a comma as
// the decimal mark, hours of one digit and a zone of 24 hours, and what can be written
// in more ways can be cut in more ways.
func dateForm(s string) string {
	if len(s) < len(zoneless) || !hasForm(s[:len(zoneless)], zoneless) {
		return ""
	}
	zone := s[len(zoneless):]
	if fraction, ok := strings.CutPrefix(zone, "."); ok {
		zone = strings.TrimLeft(fraction, "0123456789")
		if len(zone) == len(fraction) {
			return ""
		}
	}
	switch {
	case zone == "":
		return zoneless
	case zone == "Z", (hasForm(zone, "+00:00") || hasForm(zone, "-00:00")) && zone[1:3] < "24":
		return time.RFC3339Nano
	}
	return ""
}

// hasForm reports whether s is form, with any digits in the place of its digits.
func hasForm(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		if isDigit(form[i]) != isDigit(s[i]) || !isDigit(s[i]) && s[i] != form[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// digits is stricter than strconv: no sign, no 0x, no exponent, no blank, and no
// more digits than a time has in the next millennia, so that nothing overflows.
func digits(s string) (n int64, err error) {
	if s == "" || len(s) > 15 {
		return 0, errNotDigits
	}
	if s[0] == '0' && s != "0" {
		return 0, errNotDigits // zeros could be moved between {body} and {ts}
	}
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, errNotDigits
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, nil
}

// compileClock also refuses a time that is not signed: whoever replays a delivery
// would write a new one.
//
// Where the pattern or the template did not compile, it is not blamed for what they lack.
func (s Scheme) compileClock(c *scheme, compiled bool) (clock, error) {
	stamped := c.pattern.stamped
	k := clock{on: s.Timestamp != "" || stamped, parse: units[cmp.Or(s.TimestampUnit, "s")]}
	k.past, k.ahead = s.Tolerances()
	var errs []error
	if s.Timestamp != "" && s.Timestamp != "{ts}" {
		k.field = http.CanonicalHeaderKey(s.Timestamp)
		errs = append(errs, validField("timestamp", s.Timestamp))
	}
	for _, rule := range []struct {
		broken  bool
		mistake *mistake.Error
	}{
		{k.parse == nil, mistake.In("timestamp", "%s", unitNames.Unknown(s.TimestampUnit))},
		{s.Tolerance < 0 || s.Tolerance > MaxTolerance, mistake.In("tolerance", "it must be greater than zero and at most %v, not %v", MaxTolerance, s.Tolerance)},
		{compiled && s.Tolerance != 0 && !k.on, mistake.In("tolerance", "it needs a time; write the field that holds it: timestamp <field>").Or("signature")},
		{compiled && s.TimestampUnit != "" && k.parse != nil && !k.on, mistake.In("timestamp", "a unit needs a time; write the field that holds it: timestamp <field> <unit>").Or("signature")},
		{compiled && s.Timestamp == "{ts}" && !stamped, mistake.In("timestamp", "{ts} is not in the signature pattern; write the field that holds the time").Or("signature")},
		{stamped && s.TimestampUnit == "http" && c.pattern.separator == ',', mistake.In("timestamp", "a date of HTTP has a comma in it, and in the signature pattern a comma ends an item; write semicolons there if the sender does: t={ts};v1={hex}").Or("signature")},
		{k.field != "" && stamped, mistake.In("timestamp", "the signature pattern has {ts} already, so no field can hold it; remove one of the two").Or("signature")},
		{compiled && c.payload.stamped && !k.on, mistake.In("payload", "{ts} needs a time; add timestamp <field>, or {ts} to the signature pattern").Or("signature")},
		{compiled && k.on && !c.payload.stamped, mistake.In("timestamp", "the time is not signed: {ts} is not in the payload; write for example: payload {ts}.{body}").Or("payload", "signature")},
		{s.Ahead < 0 || s.Ahead > MaxTolerance, mistake.In("tolerance", "ahead must be greater than zero and at most %v", MaxTolerance)},
		{compiled && s.Ahead != 0 && !k.on, mistake.In("tolerance", "ahead needs a time")},
	} {
		if rule.broken {
			errs = append(errs, rule.mistake)
		}
	}
	if c.payload.fenced && s.TimestampUnit == "rfc3339" {
		k.parse = utc
	}
	return k, errors.Join(errs...)
}

// read returns the text of the time and judges it. Where the scheme has none,
// neither is done.
func (k *clock) read(d *Delivery, stamp string) (string, error) {
	if !k.on {
		return "", nil
	}
	if k.field != "" {
		lines := d.Header[k.field]
		if len(lines) > 1 {
			return "", refusal.TimestampMalformed
		}
		if len(lines) == 1 {
			stamp = lines[0]
		}
	}
	if stamp == "" {
		return "", refusal.TimestampMissing
	}
	at, err := k.parse(stamp)
	if err != nil {
		return "", refusal.TimestampMalformed
	}
	if age := d.now().Sub(at); age > k.past || age < -k.ahead {
		return "", refusal.TimestampOutOfRange
	}
	return stamp, nil
}

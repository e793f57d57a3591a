package signature

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A clock judges the time at which a delivery says it was signed. It bounds how
// long a captured delivery can be replayed.
type clock struct {
	on        bool
	field     string // canonical; empty where the pattern holds the time
	parse     func(string) (time.Time, error)
	tolerance time.Duration
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
	"rfc3339": func(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) },
}

var errNotDigits = errors.New("not a number of digits alone")

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
		if s[i] < '0' || s[i] > '9' {
			return 0, errNotDigits
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, nil
}

// compileClock also refuses a time that is not signed: whoever replays a delivery
// would write a new one.
func (s Scheme) compileClock(c *scheme) (clock, error) {
	stamped := c.pattern.stampTag != ""
	k := clock{on: s.Timestamp != "" || stamped, tolerance: cmp.Or(s.Tolerance, DefaultTolerance), parse: units[cmp.Or(s.TimestampUnit, "s")]}
	var errs []error
	if s.Timestamp != "" && s.Timestamp != "{ts}" {
		k.field = http.CanonicalHeaderKey(s.Timestamp)
		errs = append(errs, validField("timestamp", s.Timestamp))
	}
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{k.parse == nil, fmt.Sprintf("timestamp: unknown unit %q; known are s, ms and rfc3339", s.TimestampUnit)},
		{s.Tolerance < 0 || s.Tolerance > MaxTolerance, fmt.Sprintf("tolerance must be greater than zero and at most %v, not %v", MaxTolerance, s.Tolerance)},
		{s.Tolerance != 0 && !k.on, "tolerance needs a timestamp"},
		{s.TimestampUnit != "" && !k.on, "timestamp_unit needs a timestamp"},
		{s.Timestamp == "{ts}" && !stamped, "timestamp: {ts} does not stand in the signature pattern"},
		{k.field != "" && stamped, "timestamp: the signature pattern holds {ts} already; no field can"},
		{c.payload.stamped && !k.on, "payload: {ts} needs a timestamp field, or {ts} in the signature pattern"},
		{k.on && !c.payload.stamped, "timestamp: it is not signed: {ts} does not stand in the payload"},
	} {
		if rule.broken {
			errs = append(errs, errors.New(rule.text))
		}
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
			return "", TimestampMalformed
		}
		if len(lines) == 1 {
			stamp = lines[0]
		}
	}
	if stamp == "" {
		return "", TimestampMissing
	}
	at, err := k.parse(stamp)
	if err != nil {
		return "", TimestampMalformed
	}
	if age := d.now().Sub(at); age > k.tolerance || age < -k.tolerance {
		return "", TimestampOutOfRange
	}
	return stamp, nil
}

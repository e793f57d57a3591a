package options

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
)

// Text reads an option with exactly one argument.
func Text(value *string) func(Line) error {
	return func(l Line) error {
		if len(l.Args) != 1 {
			return fmt.Errorf("it takes exactly one argument, not %d", len(l.Args))
		}
		if l.Args[0] == "" {
			return errors.New(`its argument is empty; write one, or remove the line ("{$NAME}" of an unset variable is empty)`)
		}
		*value = l.Args[0]
		return nil
	}
}

// Pair reads an option with one argument or two.
func Pair(first, second *string) func(Line) error {
	return func(l Line) error {
		switch {
		case len(l.Args) == 0 || len(l.Args) > 2:
			return fmt.Errorf("it takes one argument or two, not %d", len(l.Args))
		case len(l.Args) == 2:
			*second, l.Args = l.Args[1], l.Args[:1]
		}
		return Text(first)(l)
	}
}

// List reads an option with one argument or more.
func List(values *[]string) func(Line) error {
	return func(l Line) error {
		if len(l.Args) == 0 {
			return errors.New("it takes at least one argument")
		}
		*values = l.Args
		return nil
	}
}

// Flag reads an option without an argument.
func Flag(value *bool) func(Line) error {
	return func(l Line) error {
		*value = true
		if len(l.Args) > 0 {
			return errors.New("it takes no argument; remove the line to switch it off")
		}
		return nil
	}
}

// Size reads 10MB (10^7) or 10MiB (10*2^20), as Caddy's own sizes are read. A small number
// without a unit is rejected: with `max_size 25` no delivery would pass.
func Size(value *int64, limit limits.Limit, sample string) func(Line) error {
	return parsed(value, limit, "a size", sample, sizeUnits, func(arg string) (int64, error) {
		n, err := humanize.ParseBytes(arg)
		if n > math.MaxInt64 || err != nil && strings.HasPrefix(err.Error(), "too large") {
			return 0, strconv.ErrRange
		}
		return int64(n), err
	})
}

// Duration reads 30s, 5m, 24h or 7d.
func Duration(value *caddy.Duration, limit limits.Limit, sample string) func(Line) error {
	return parsed(value, limit, "a duration", sample, timeUnits, func(arg string) (caddy.Duration, error) {
		d, err := caddy.ParseDuration(arg)
		return caddy.Duration(d), err
	})
}

// Number reads a count.
func Number(value *int, limit limits.Limit, sample string) func(Line) error {
	return parsed(value, limit, "a number", sample, nil, strconv.Atoi)
}

// parsed reads an option whose arguments are one number with its unit. In JSON zero means
// the default; whoever writes 0 in a Caddyfile means no limit, and there is none.
func parsed[T ~int | ~int64](value *T, limit limits.Limit, what, sample string, units []unit, parse func(string) (T, error)) func(Line) error {
	return func(l Line) error {
		if better := respell(strings.Join(l.Args, " "), units, sample); better != "" {
			return fmt.Errorf("%s is not %s; write %s", l.Show(strings.Join(l.Args, " ")), what, better)
		}
		var arg string
		if err := Text(&arg)(l); err != nil {
			return fmt.Errorf("%w; write for example: %s %s", err, l.Option, sample)
		}
		read, err := parse(arg)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return fmt.Errorf("%s is out of range; it must be %s", l.Show(arg), limit)
		case err != nil:
			return fmt.Errorf("%s is not %s; write for example: %s %s", l.Show(arg), what, l.Option, sample)
		case read <= 0:
			return fmt.Errorf("it must be greater than zero; write for example: %s %s", l.Option, sample)
		}
		*value = read
		return errors.Unwrap(limit.Check(int64(read)))
	}
}

// A unit is what people write behind a number, and how Caddy reads it.
type unit struct {
	written string // a regular expression
	read    string // "": as written
	times   int
}

var sizeUnits = []unit{
	{"", "B for bytes", 1}, // see respell
	{"[bkmgtKMGT]i?[bB]?", "", 1},
	{"(?i:bytes?)", "B", 1},
	{"(?i:kilobytes?)", "kB", 1},
	{"(?i:megabytes?|megs?)", "MB", 1},
	{"(?i:gigabytes?|gigs?)", "GB", 1},
}

var timeUnits = []unit{
	{"", "s for seconds", 1},
	{"ms|s|m|h|d", "", 1},
	{"(?i:secs?|seconds?)|S", "s", 1},
	{"(?i:mins?|minutes?)|M", "m", 1},
	{"(?i:hrs?|hours?)|H", "h", 1},
	{"(?i:days?)|D", "d", 1},
	{"(?i:w|weeks?)", "d", 7},
}

// bare returns how to write a number without a unit: with the unit of the option's sample,
// or with the smallest. A large size without a unit is in bytes.
func bare(n int, smallest unit, usual string) string {
	switch number := strconv.Itoa(n); {
	case smallest.read == sizeUnits[0].read && n >= 1024:
		return ""
	case strings.HasPrefix(smallest.read, usual+" "):
		return number + usual
	default:
		return number + usual + ", or " + number + smallest.read
	}
}

// respell returns how to write a number with a blank, without a unit or with a unit that
// Caddy does not read, or "". It has at most ten digits and a known unit, so it shows no
// secret.
func respell(text string, units []unit, sample string) string {
	for _, u := range units {
		m := regexp.MustCompile(`^([1-9][0-9]{0,9})( ?)(` + u.written + `)$`).FindStringSubmatch(text)
		if m == nil || u.read == "" && m[2] == "" {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		number := strconv.Itoa(n * u.times)
		if u.read == "" {
			return number + m[3]
		}
		if u.written == "" {
			return bare(n, u, strings.TrimLeft(sample, "0123456789"))
		}
		return number + u.read
	}
	return ""
}

package signature_test

import (
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// digestShapes is what a digest of an algorithm looks like, as a regular
// expression. The last letter of base64 has no spare bits set.
var digestShapes = map[string]map[string]string{
	"hex": {"sha256": `[0-9A-Fa-f]{64}`, "sha384": `[0-9A-Fa-f]{96}`, "sha512": `[0-9A-Fa-f]{128}`},
	"base64": {
		"sha256": `[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=?`, "sha384": `[A-Za-z0-9+/]{64}`, "sha512": `[A-Za-z0-9+/]{85}[AQgw](==)?`,
	},
	"base64url": {
		"sha256": `[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]=?`, "sha384": `[A-Za-z0-9_-]{64}`, "sha512": `[A-Za-z0-9_-]{85}[AQgw](==)?`,
	},
}

// singlePattern takes the source of one item apart: {alg}, text, digest.
var singlePattern = regexp.MustCompile(`\A(?s:(\{alg\})?(.*))\{(hex|base64|base64url)\}\z`)

// singleOracle says what a pattern of one item takes: text that is known, and a
// regular expression for the digest.
func singleOracle(pattern string) func(value string) bool {
	m := singlePattern.FindStringSubmatch(pattern)
	if m == nil {
		return nil
	}
	wants := make(map[string]*regexp.Regexp) // by what stands in front of the digest
	for name, shape := range digestShapes[m[3]] {
		if m[1] != "" {
			wants[name+m[2]] = regexp.MustCompile(`\A(?:` + shape + `)\z`)
		} else if name == "sha256" {
			wants[m[2]] = regexp.MustCompile(`\A(?:` + shape + `)\z`)
		}
	}
	return func(value string) bool {
		for text, digest := range wants {
			if strings.HasPrefix(value, text) && digest.MatchString(value[len(text):]) {
				return !strings.Contains(value, ",")
			}
		}
		return false
	}
}

// listPattern takes the source of a list apart: items of text and a placeholder, and the
// separator at its end. listItem is one of the items.
var (
	listItem    = regexp.MustCompile(`([^{}]*)\{(ts|nonce|hex|base64|base64url)\}`)
	listPattern = regexp.MustCompile(`\A((?:[^{}]*\{(?:ts|nonce|hex|base64|base64url)\})+)(?:([ ,;])\.\.\.)?\z`)
)

// listOracle says what a list takes, by cutting it into pieces first.
func listOracle(pattern string) func(value string) bool {
	m := listPattern.FindStringSubmatch(pattern)
	if m == nil {
		return nil
	}
	separator, tags, kind, first := m[2], map[string]string{}, "", ""
	for i, item := range listItem.FindAllStringSubmatch(m[1], -1) {
		tag := item[1]
		if i == 0 {
			first = item[2]
		} else {
			separator = tag[:1]
			tag = strings.TrimLeft(tag[1:], " ")
		}
		if item[2] != "ts" && item[2] != "nonce" {
			kind = item[2]
			item[2] = "digest"
		}
		tags[item[2]] = tag
	}
	if separator == "" {
		return nil
	}
	digest := regexp.MustCompile(`\A` + digestShapes[kind]["sha256"] + `\z`)
	positional := first == "ts" && tags["ts"] == "" && tags["digest"] == ""
	return func(value string) bool {
		items := strings.Split(value, separator)
		found := make(map[string][]string)
		for i, item := range items {
			if separator != " " && i > 0 {
				item = strings.TrimLeft(item, " ")
			}
			is := ""
			for name, tag := range tags {
				if strings.HasPrefix(item, tag) {
					is = name
				}
			}
			if positional {
				is = map[bool]string{true: "ts", false: "digest"}[i == 0]
			}
			if is == "" && item == "" {
				return false
			}
			found[is] = append(found[is], strings.TrimPrefix(item, tags[is]))
		}
		digests := found["digest"]
		all := !slices.ContainsFunc(digests, func(s string) bool { return !digest.MatchString(s) })
		_, stamped := tags["ts"]
		_, nonced := tags["nonce"]
		return len(items) <= 64 && len(digests) <= 16 && slices.ContainsFunc(digests, digest.MatchString) && (all || !positional) &&
			(!stamped || len(found["ts"]) == 1 && inTime(found["ts"][0], time.Second)) &&
			(!nonced || len(found["nonce"]) == 1 && isNonce(found["nonce"][0]))
	}
}

// isNonce says what FuzzPattern's payload takes for a nonce.
func isNonce(text string) bool { return text != "" && !strings.Contains(text, ".") }

// inTime reports whether a number of digits alone, without zeros in front, is no
// more than five minutes from now.
func inTime(text string, unit time.Duration) bool {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || len(text) > 15 || strings.HasPrefix(text, "0") && text != "0" || strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) >= 0 {
		return false
	}
	age := n.Mul(n, big.NewInt(int64(unit)))
	age.Sub(age, big.NewInt(now.UnixNano()))
	return age.CmpAbs(big.NewInt(int64(5*time.Minute))) <= 0
}

// FuzzPattern compiles any pattern and reads any value with it. What compiles is
// read as the oracle of its kind says; nothing panics.
func FuzzPattern(f *testing.F) {
	seeds := 0
	for _, p := range signature.Presets() {
		for _, value := range []string{"RIGHT", "v1=RIGHT", "t=TIME,v1=RIGHT", "ts=TIME;h1=RIGHT", "v1,RIGHT64 v1,WRONG64", "HMAC RIGHT64", "sha256=RIGHT", "v1,RIGHT64BARE v1,?", "v1=WRONG,v1=", "anything,v1=RIGHT"} {
			f.Add(p.Scheme.Signature, fill(value))
			seeds++
		}
	}
	for _, v := range presetVectors(f) {
		p, _ := signature.FindPreset(v.Preset)
		for _, value := range v.Headers {
			f.Add(p.Scheme.Signature, value)
			seeds++
		}
	}
	for _, pattern := range []string{"{hex", "{alg}={hex}", "t={ts};v1={base64url}", "{hex},t={ts}", "v1={hex},...", "{alg}2{hex}", "a,{hex}", "{}"} {
		for _, value := range []string{"sha256=RIGHT", "TIME,RIGHT", "TIME, RIGHT,WRONG", "TIME;RIGHT64", "t=n1,s=RIGHT", "t=TIME,n=1,s=WRONG", "n=1,t=TIME,s=RIGHT,n=2"} {
			f.Add(pattern, fill(value))
			seeds++
		}
	}
	if seeds < 500 {
		f.Fatalf("only %d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		s := signature.Scheme{Headers: []string{field}, Signature: pattern}
		s.Payload = "{body}"
		for _, word := range []string{"{ts}", "{nonce}"} {
			if strings.Contains(pattern, word) {
				s.Payload = word + "." + s.Payload
			}
		}
		v, err := signature.New(s, []signature.Secret{{Name: "a", Text: secret}})
		if err != nil {
			return
		}
		if pattern == "" {
			pattern = "{alg}={hex}"
		}
		wants := listOracle(pattern)
		if wants == nil {
			wants = singleOracle(pattern)
		}
		if wants == nil {
			t.Fatalf("%q compiles, and is of no known kind", pattern)
		}
		got := judgeValue(v, value)
		wellFormed := got == accepted || got == refusal.SignatureMismatch.Error()
		if wellFormed != wants(value) {
			t.Errorf("%q of %q: %s", pattern, value, got)
		}
	})
}

// rfc3339 says which instant a date is, by counting days. Beyond nanoseconds the
// digits are dropped.
func rfc3339(text string, zoneless bool) (at *big.Int, ok bool) {
	zone := ""
	if zoneless {
		zone = "|"
	}
	m := regexp.MustCompile(`\A(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d)` + zone + `)\z`).FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v }
	days := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	leap := func(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }
	if leap(n(1)) {
		days[1] = 29
	}
	if n(2) < 1 || n(2) > 12 || n(3) < 1 || n(3) > days[n(2)-1] || n(4) > 23 || n(5) > 59 || n(6) > 59 || n(9) > 23 || n(10) > 59 {
		return nil, false
	}
	day := n(3) - 1
	for _, d := range days[:n(2)-1] {
		day += d
	}
	for y := 1970; y < n(1); y++ {
		day += 365
		if leap(y) {
			day++
		}
	}
	for y := n(1); y < 1970; y++ {
		day -= 365
		if leap(y) {
			day--
		}
	}
	seconds := day*86400 + n(4)*3600 + n(5)*60 + n(6)
	if m[8] == "-" {
		seconds += n(9)*3600 + n(10)*60
	} else {
		seconds -= n(9)*3600 + n(10)*60
	}
	fraction, _ := strconv.Atoi((m[7] + "000000000")[:9])
	at = big.NewInt(int64(seconds))
	return at.Mul(at, big.NewInt(1e9)).Add(at, big.NewInt(int64(fraction))), true
}

// httpDate says which instant a date of HTTP is, by way of the other form.
func httpDate(text string) (at *big.Int, ok bool) {
	m := regexp.MustCompile(`\A([A-Z][a-z]{2}), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) GMT\z`).FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	month := slices.Index([]string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}, m[3]) + 1
	at, ok = rfc3339(fmt.Sprintf("%s-%02d-%sT%sZ", m[4], month, m[2], m[5]), false)
	if !ok {
		return nil, false
	}
	days := new(big.Int).Div(at, big.NewInt(86400*1e9)) // rounds down; 1970 began with a Thursday
	weekday := new(big.Int).Mod(days, big.NewInt(7)).Int64()
	return at, m[1] == []string{"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"}[weekday]
}

// FuzzTimestamp compares what is taken for a time, and for one in time, with
// arithmetic that cannot overflow.
func FuzzTimestamp(f *testing.F) {
	units := readingUnits
	seeds := 0
	for _, text := range []string{
		stamp, "1699999700", "1700000301", "1700000000000", "0x10", "1e9", "-1", " 1", "1 ", "", "9223372036854775808", "18446744075409551616", "999999999999999",
		"2023-11-14T22:13:20Z", "2023-11-14T14:13:20.5-08:00", "2023-11-14T22:18:20.000000001Z", "2023-11-14T22:13:20", "2023-11-14T22:13:20.551", "2023-11-14T22:13:20,551Z",
		"2023-11-15T22:13:20+24:00", "2023-11-14T22:13:20+00:60", "2023-11-14T2:13:20Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "2024-02-29T00:00:00Z",
		"Tue, 14 Nov 2023 22:13:20 GMT", "Wed, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:20 UTC", "tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:8:20 GMT", "Thu, 29 Feb 2024 00:00:00 GMT",
	} {
		for unit := range units {
			f.Add(uint8(unit), text)
			seeds++
		}
	}
	for _, v := range presetVectors(f) {
		for name, value := range v.Headers {
			if strings.Contains(strings.ToLower(name), "timestamp") {
				f.Add(uint8(seeds%4), value)
				seeds++
			}
		}
	}
	if seeds < 100 {
		f.Fatalf("only %d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, unit uint8, text string) {
		name := units[int(unit)%4]
		for _, zoneless := range []bool{false, true} {
			fence := map[bool]string{false: ".", true: ":"}[zoneless]
			fields := http.Header{field: {signText(text + fence + body)}, "X-Time": {text}}
			v := compiled(t, signature.Scheme{
				Headers: []string{field}, Signature: "{hex}", Payload: "{ts}" + fence + "{body}", Timestamp: "X-Time", TimestampUnit: name,
			}, secret)
			got := judge(v, &signature.Delivery{Header: fields, Now: now}, body)
			want := map[string]bool{"s": inTime(text, time.Second), "ms": inTime(text, time.Millisecond)}[name]
			if at, ok := rfc3339(text, zoneless); name == "rfc3339" && ok {
				want = at.Sub(at, big.NewInt(now.UnixNano())).CmpAbs(big.NewInt(int64(5*time.Minute))) <= 0
			}
			if at, ok := httpDate(text); name == "http" && ok {
				want = at.Sub(at, big.NewInt(now.UnixNano())).CmpAbs(big.NewInt(int64(5*time.Minute))) <= 0
			}
			if (got == accepted) != want {
				t.Errorf("%q in %s, in front of %q: %s", text, name, fence, got)
			}
		}
	})
}

package signature_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// timed returns a verifier that dates deliveries by the field X-Time.
func timed(t testing.TB, unit string, tolerance time.Duration) *signature.Verifier {
	t.Helper()
	return compiled(t, signature.Scheme{
		Headers: []string{field}, Signature: "{hex}", Payload: "{ts}.{body}",
		Timestamp: "X-Time", TimestampUnit: unit, Tolerance: tolerance,
	}, secret)
}

func TestTimestamps(t *testing.T) {
	const malformed, outOfRange = "timestamp_malformed", "timestamp_out_of_range"
	for _, tc := range []struct{ unit, stamp, want string }{
		{"s", "1700000000", accepted},
		{"", "1700000000", accepted},
		{"s", "1699999700", accepted}, // five minutes, to the second
		{"s", "1700000300", accepted},
		{"s", "1699999699", outOfRange},
		{"s", "1700000301", outOfRange},
		{"s", "0", outOfRange},
		{"s", "1700000000000", outOfRange}, // milliseconds
		{"s", "999999999999999", outOfRange},
		{"s", "00001700000000", malformed}, // the zeros may be the end of a body
		{"s", "9999999999999999", malformed},
		{"s", "9223372036854775807", malformed},
		{"s", "9223372036854775808", malformed},
		{"s", "18446744075409551616", malformed}, // 2^64 + now
		{"s", strings.Repeat("9", 1<<20), malformed},
		{"s", "0x10", malformed},
		{"s", "0x6553f100", malformed},
		{"s", "1e9", malformed},
		{"s", "1.7e9", malformed},
		{"s", "1700000000.0", malformed},
		{"s", "1_700_000_000", malformed},
		{"s", "-1", malformed},
		{"s", "-1700000000", malformed},
		{"s", "+1700000000", malformed},
		{"s", " 1700000000", malformed},
		{"s", "1700000000 ", malformed},
		{"s", "17000 00000", malformed},
		{"s", "1700000000\x00", malformed},
		{"s", "1700000000,1700000000", malformed},
		{"s", "１７００００００００", malformed},
		{"s", "NaN", malformed},
		{"s", "now", malformed},
		{"s", "2023-11-14T22:13:20Z", malformed},

		{"ms", "1700000000000", accepted},
		{"ms", "1699999700000", accepted},
		{"ms", "1699999699999", outOfRange},
		{"ms", "1700000300000", accepted},
		{"ms", "1700000300001", outOfRange},
		{"ms", "1700000000", outOfRange},
		{"ms", "999999999999999", outOfRange},
		{"ms", "1700000000.000", malformed},

		{"rfc3339", "2023-11-14T22:13:20Z", accepted},
		{"rfc3339", "2023-11-14T22:13:20.999999999Z", accepted},
		{"rfc3339", "2023-11-14T22:13:20.634234626999Z", accepted},
		{"rfc3339", "2023-11-14T14:13:20-08:00", accepted},
		{"rfc3339", "2023-11-15T03:58:20+05:45", accepted},
		{"rfc3339", "2023-11-14T22:08:20Z", accepted},
		{"rfc3339", "2023-11-14T22:08:19.999999999Z", outOfRange},
		{"rfc3339", "2023-11-14T22:18:20Z", accepted},
		{"rfc3339", "2023-11-14T22:18:20.000000001Z", outOfRange},
		{"rfc3339", "0000-01-01T00:00:00Z", outOfRange},
		{"rfc3339", "9999-12-31T23:59:59Z", outOfRange},
		{"rfc3339", "2023-11-14T22:13:20", malformed}, // what follows here, a point, could be its end
		{"rfc3339", "2023-11-14T22:13:20,5Z", malformed},
		{"rfc3339", "2023-11-14T22:13:20.5,5Z", malformed},
		{"rfc3339", "2023-11-14T2:13:20Z", malformed},
		{"rfc3339", "2023-11-14T22:13:20+00", malformed},
		{"rfc3339", "2023-11-14T22:13:20+00:00Z", malformed},
		{"rfc3339", "2023-11-14T22:13:20Z+00:00", malformed},
		{"rfc3339", "2023-11-14T22:13:20.123456789012Z", accepted},
		{"rfc3339", "2023-11-14 22:13:20Z", malformed},
		{"rfc3339", "2023-11-14t22:13:20z", malformed},
		{"rfc3339", "2023-11-14T22:13:20.Z", malformed},
		{"rfc3339", "2023-11-14T22:13:60Z", malformed},
		{"rfc3339", "2023-02-29T22:13:20Z", malformed},
		{"rfc3339", "2023-11-14T22:13:20+0000", malformed},
		{"rfc3339", " 2023-11-14T22:13:20Z", malformed},
		{"rfc3339", "2023-11-14T22:13:20Z ", malformed},
		{"rfc3339", "1700000000", malformed},
	} {
		fields := http.Header{field: {signText(tc.stamp + "." + body)}, "X-Time": {tc.stamp}}
		if got := judge(timed(t, tc.unit, 0), &signature.Delivery{Header: fields, Now: now}, body); got != tc.want {
			t.Errorf("%q in %s: %s, want %s", tc.stamp, tc.unit, got, tc.want)
		}
	}
}

// A date without its zone is UTC, where nothing that follows it could be its end.
func TestTimesWithoutAZone(t *testing.T) {
	for _, tc := range []struct{ payload, stamp, want string }{
		{"v1:{ts}:{body}", "2023-11-14T22:13:20", accepted},
		{"v1:{ts}:{body}", "2023-11-14T22:13:20.551", accepted},
		{"v1:{ts}:{body}", "2023-11-14T22:13:20Z", accepted},
		{"v1:{ts}:{body}", "2023-11-14T23:13:20.5+01:00", accepted},
		{"{ts}{lf}{body}", "2023-11-14T22:13:20", accepted},
		{"{ts}{lf}{body}:{ts} ", "2023-11-14T22:13:20", accepted},
		{"v1:{ts}:{body}", "2023-11-14T22:08:19.999", "timestamp_out_of_range"},
		{"v1:{ts}:{body}", "2023-11-14T23:13:20", "timestamp_out_of_range"},
		{"v1:{ts}:{body}", "2023-11-14T22:13:20,551", "timestamp_malformed"},
		{"v1:{ts}:{body}", "2023-11-14T22:13:20.", "timestamp_malformed"},
		{"v1:{ts}:{body}", "2023-11-14T22:13", "timestamp_malformed"},
		{"v1:{ts}:{body}", "2023-11-14 22:13:20", "timestamp_malformed"},
		{"v1:{ts}:{body}", "2023-11-14T2:13:20", "timestamp_malformed"},
		{"v1:{ts}:{body}", "2023-11-14T22:13:20z", "timestamp_malformed"},
		{"v1:{ts}:{body}", "2023-11-14T22:13:20.5 ", "timestamp_malformed"},
		{"v1:{ts}:{body}", "1700000000", "timestamp_malformed"},
		{"{ts}{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{body}{ts}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts}.{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts},{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts}Z{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts}+{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts}-{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts}0{body}", "2023-11-14T22:13:20", "timestamp_malformed"},
		{"{ts}:{body}{ts}", "2023-11-14T22:13:20", "timestamp_malformed"},
	} {
		v := compiled(t, signature.Scheme{
			Headers: []string{field}, Signature: "{hex}", Payload: tc.payload, Timestamp: "X-Time", TimestampUnit: "rfc3339",
		}, secret)
		signed := strings.NewReplacer("{ts}", tc.stamp, "{body}", body, "{lf}", "\n").Replace(tc.payload)
		d := &signature.Delivery{Header: http.Header{field: {signText(signed)}, "X-Time": {tc.stamp}}, Now: now}
		if got := judge(v, d, body); got != tc.want {
			t.Errorf("%q in %s: %s, want %s", tc.stamp, tc.payload, got, tc.want)
		}
	}
}

// Orb's own delivery, from the tests of its libraries: the time has no zone.
func TestOrb(t *testing.T) {
	v := compiled(t, signature.Scheme{
		Headers: []string{"X-Orb-Signature"}, Signature: "v1={hex}", Payload: "v1:{ts}:{body}", Timestamp: "X-Orb-Timestamp", TimestampUnit: "rfc3339",
	}, "c-UGKYdnhHh436B_sMouYAPUvXyWpzOdunZBV5dFSD8")
	const orb = `{"id": "o4mmewpfNNTnjfZc", "created_at": "2024-03-27T15:42:29+00:00", "type": "resource_event.test", ` +
		`"properties": {"message": "A test webhook from Orb. Happy testing!"}}`
	d := &signature.Delivery{Now: time.Date(2024, 3, 27, 15, 42, 30, 0, time.UTC), Header: http.Header{
		"X-Orb-Timestamp": {"2024-03-27T15:42:29.551"},
		"X-Orb-Signature": {"v1=9d25de966891ab0bc18754faf8d83d0980b44ae330fcc130b41a6cf3daf1f391"},
	}}
	if got := judge(v, d, orb); got != accepted {
		t.Error(got)
	}
}

func TestTimestampField(t *testing.T) {
	for _, tc := range []struct {
		lines []string
		want  string
	}{
		{[]string{stamp}, accepted},
		{nil, "timestamp_missing"},
		{[]string{""}, "timestamp_missing"},
		{[]string{stamp, stamp}, "timestamp_malformed"},
		{[]string{stamp, ""}, "timestamp_malformed"},
	} {
		fields := http.Header{field: {signText(stamp + "." + body)}, "X-Time": tc.lines}
		if got := judge(timed(t, "s", 0), &signature.Delivery{Header: fields, Now: now}, body); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.lines, got, tc.want)
		}
	}
}

func TestTolerance(t *testing.T) {
	for _, tc := range []struct {
		tolerance, age time.Duration
		want           string
	}{
		{time.Second, time.Second, accepted},
		{time.Second, -time.Second, accepted},
		{time.Second, time.Second + 1, "timestamp_out_of_range"},
		{time.Second, -time.Second - 1, "timestamp_out_of_range"},
		{time.Hour, 59 * time.Minute, accepted},
		{signature.MaxTolerance, 24 * time.Hour, accepted},
	} {
		fields := http.Header{field: {signText(stamp + "." + body)}, "X-Time": {stamp}}
		if got := judge(timed(t, "s", tc.tolerance), &signature.Delivery{Header: fields, Now: now.Add(tc.age)}, body); got != tc.want {
			t.Errorf("%v with %v: %s, want %s", tc.age, tc.tolerance, got, tc.want)
		}
	}
}

// A preset may allow another distance in the future than in the past. An operator's
// tolerance counts in both directions.
func TestToleranceAhead(t *testing.T) {
	base := signature.Scheme{
		Headers: []string{field}, Signature: "{hex}", Payload: "{ts}.{body}", Timestamp: "X-Time", Tolerance: 5 * time.Second, Ahead: time.Minute,
	}
	for _, tc := range []struct {
		own, age time.Duration
		want     string
	}{
		{0, 5 * time.Second, accepted},
		{0, 6 * time.Second, "timestamp_out_of_range"},
		{0, -time.Minute, accepted},
		{0, -61 * time.Second, "timestamp_out_of_range"},
		{30 * time.Second, 30 * time.Second, accepted},
		{30 * time.Second, -30 * time.Second, accepted},
		{30 * time.Second, -31 * time.Second, "timestamp_out_of_range"},
	} {
		v := compiled(t, signature.Scheme{Tolerance: tc.own}.Or(base), secret)
		fields := http.Header{field: {signText(stamp + "." + body)}, "X-Time": {stamp}}
		if got := judge(v, &signature.Delivery{Header: fields, Now: now.Add(tc.age)}, body); got != tc.want {
			t.Errorf("%v with %v: %s, want %s", tc.age, tc.own, got, tc.want)
		}
	}
	if got := compiled(t, base, secret).Lifetime(); got != 65*time.Second {
		t.Errorf("a captured delivery lives for %v, want 65 s", got)
	}
}

// Where no time is given, the system's clock judges.
func TestSystemClock(t *testing.T) {
	v := timed(t, "rfc3339", 0)
	for age, want := range map[time.Duration]string{0: accepted, time.Hour: "timestamp_out_of_range", -time.Hour: "timestamp_out_of_range"} {
		at := time.Now().Add(-age).Format(time.RFC3339)
		fields := http.Header{field: {signText(at + "." + body)}, "X-Time": {at}}
		if got := judge(v, &signature.Delivery{Header: fields}, body); got != want {
			t.Errorf("%v: %s, want %s", age, got, want)
		}
	}
}

// A time that is not signed, or that nothing tells, does not load: whoever replays
// a delivery would write a new one.
func TestClocksThatDoNotCompile(t *testing.T) {
	for _, tc := range []struct {
		scheme signature.Scheme
		want   string
	}{
		{signature.Scheme{Timestamp: "X-Time"}, "timestamp: the time is not signed"},
		{signature.Scheme{Timestamp: "X-Time", Payload: "{header.X-Other}.{body}"}, "timestamp: the time is not signed"},
		{signature.Scheme{Signature: "t={ts},v1={hex}"}, "timestamp: the time is not signed"},
		{signature.Scheme{Payload: "{ts}.{body}"}, "payload: {ts} needs a time; add timestamp <field>"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "{ts}"}, "{ts} is not in the signature pattern"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X-Time", Signature: "t={ts},v1={hex}"}, "has {ts} already"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X_Time"}, `timestamp: "X_Time" is not a field name`},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X-Time", TimestampUnit: "us"}, `unknown unit of time "us"; write s, ms, rfc3339 or http`},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X-Time", Tolerance: -1}, "tolerance: it must be greater than zero"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X-Time", Tolerance: 25 * time.Hour}, "at most 24h"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "Host"}, `"Host" is not left`},
		{signature.Scheme{Tolerance: time.Minute}, "tolerance: it needs a time"},
		{signature.Scheme{Ahead: time.Minute}, "tolerance: ahead needs a time"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X-Time", Ahead: -1}, "tolerance: ahead must be"},
		{signature.Scheme{Payload: "{ts}.{body}", Timestamp: "X-Time", Ahead: 25 * time.Hour}, "tolerance: ahead must be"},
		{signature.Scheme{TimestampUnit: "ms"}, "timestamp: a unit needs a time"},
	} {
		if err := tc.scheme.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v; want %s", tc.scheme, err, tc.want)
		}
	}
	for _, s := range []signature.Scheme{
		{Payload: "{ts}.{body}", Timestamp: "{ts}", Signature: "t={ts},v1={hex}", TimestampUnit: "ms"},
		{Payload: "{ts}{body}", Timestamp: "X-Time", Tolerance: time.Second},
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// What overrides a preset does so one by one.
func TestOr(t *testing.T) {
	workos, _ := signature.FindPreset("workos")
	standard, _ := signature.FindPreset("standard-webhooks")
	box, _ := signature.FindPreset("box")
	for _, tc := range []struct {
		name       string
		got        signature.Scheme
		unit       string
		tolerance  time.Duration
		prefix     string
		anyHeader  bool
		firstField string
	}{
		{"nothing", signature.Scheme{}.Or(workos.Scheme), "ms", 3 * time.Minute, "", false, "WorkOS-Signature"},
		{"tolerance", signature.Scheme{Tolerance: 1}.Or(workos.Scheme), "ms", 1, "", false, "WorkOS-Signature"},
		{"unit", signature.Scheme{TimestampUnit: "s"}.Or(workos.Scheme), "s", 3 * time.Minute, "", false, "WorkOS-Signature"},
		{"time", signature.Scheme{Timestamp: "{ts}"}.Or(workos.Scheme), "", 3 * time.Minute, "", false, "WorkOS-Signature"},
		{"header", signature.Scheme{Headers: []string{"X-A"}}.Or(box.Scheme), "rfc3339", 10 * time.Minute, "", false, "X-A"},
		{"any", signature.Scheme{}.Or(box.Scheme), "rfc3339", 10 * time.Minute, "", true, "BOX-SIGNATURE-PRIMARY"},
		{"any alone", signature.Scheme{AnyHeader: true}.Or(workos.Scheme), "ms", 3 * time.Minute, "", true, "WorkOS-Signature"},
		{"prefix", signature.Scheme{SecretPrefix: "key_"}.Or(standard.Scheme), "", 0, "key_", false, "webhook-signature"},
		{"encoding", signature.Scheme{SecretEncoding: "hex"}.Or(standard.Scheme), "", 0, "", false, "webhook-signature"},
	} {
		g := tc.got
		if g.TimestampUnit != tc.unit || g.Tolerance != tc.tolerance || g.SecretPrefix != tc.prefix || g.AnyHeader != tc.anyHeader || g.Headers[0] != tc.firstField {
			t.Errorf("%s: %+v", tc.name, g)
		}
	}
}

package command

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// What people have of a delivery, and what is read from it.
var captures = []struct {
	name, text string
	want       capture
}{
	{
		name: "fields alone, with blank lines and CRLF",
		text: "Content-Type: application/json\r\n\r\nx-sig:  a b \r\n",
		want: capture{header: http.Header{"Content-Type": {"application/json"}, "X-Sig": {"a b"}}},
	},
	{
		name: "a byte order mark, and Host",
		text: "\ufeffhost: hooks.example.com\nX-Sig: a",
		want: capture{host: "hooks.example.com", header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "a field twice, and one without a value",
		text: "X-Sig: a\nX-SIG: b\nX-Empty:",
		want: capture{header: http.Header{"X-Sig": {"a", "b"}, "X-Empty": {""}}},
	},
	{
		name: "a value with colons and braces",
		text: `X-Sig: {"a": 1}`,
		want: capture{header: http.Header{"X-Sig": {`{"a": 1}`}}},
	},
	{
		name: "a request line",
		text: "PUT /webhook?a=b HTTP/1.1\nHost: hooks.example.com\nX-Sig: a",
		want: capture{method: "PUT", target: "/webhook?a=b", host: "hooks.example.com", header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "a request line with a whole URL",
		text: "POST http://hooks.example.com:8080/webhook HTTP/1.1\nX-Sig: a",
		want: capture{method: "POST", scheme: "http", target: "/webhook", host: "hooks.example.com:8080", header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "GitHub's page",
		text: "Request URL: https://hooks.example.com/put\nRequest method: PUT\nAccept: */*",
		want: capture{method: "PUT", scheme: "https", target: "/put", host: "hooks.example.com", header: http.Header{"Accept": {"*/*"}}},
	},
	{
		name: "HTTP/2, as browsers show it",
		text: ":authority: hooks.example.com\n:method: POST\n:path: /webhook?x\n:scheme: https\nx-sig: a",
		want: capture{method: "POST", scheme: "https", target: "/webhook?x", host: "hooks.example.com", header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "curl -v",
		text: "*   Trying 192.0.2.1:443...\n* Connected\n} [512 bytes data]\n> POST /put HTTP/2\n> Host: hooks.example.com\n> x-sig: a\n>\n< HTTP/2 401\n< x-sig: b\n<\n{ [0 bytes data]",
		want: capture{method: "POST", target: "/put", host: "hooks.example.com", header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "an object of fields",
		text: `{"Content-Length": 18, "X-Sig": ["a", "b"], "X-On": true, "Host": "hooks.example.com"}`,
		want: capture{host: "hooks.example.com", header: http.Header{"Content-Length": {"18"}, "X-Sig": {"a", "b"}, "X-On": {"true"}}},
	},
	{
		name: "GitHub's API",
		text: `{"id": 1, "request": {"headers": {"X-Sig": "a"}, "payload": {"a": 1}}, "response": {"headers": {"X-Sig": "b"}}}`,
		want: capture{logged: true, header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "the request of a log's line",
		text: `{"method": "POST", "host": "hooks.example.com", "uri": "/webhook", "headers": {"X-Sig": ["a"]}}`,
		want: capture{method: "POST", scheme: "http", host: "hooks.example.com", target: "/webhook", header: http.Header{"X-Sig": {"a"}}},
	},
	{
		name: "a line of the access log",
		text: logged,
		want: loggedCapture,
	},
	{
		name: "the same from journald",
		text: "Jul 01 12:00:00 gateway caddy[812]: " + logged + "\n",
		want: loggedCapture,
	},
	{
		name: "the same from docker compose, with text of its own in braces",
		text: "gateway-1  | " + logged,
		want: loggedCapture,
	},
	{
		name: "a line of the access log beside the gate's own",
		text: "caddy[812]: " + `{"level":"warn","msg":"delivery refused","error_id":"5f5zd3a7k"}` + "\ncaddy[812]: " + logged + "\n",
		want: loggedCapture,
	},
	{name: "nothing", want: capture{header: http.Header{}}},
}

// logged is a line as Caddy 2.11 writes it.
const logged = `{"level":"info","ts":1782907202.5,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"192.0.2.7","remote_port":"41342",` +
	`"client_ip":"192.0.2.7","proto":"HTTP/2.0","method":"POST","host":"hooks.example.com:8443","uri":"/webhook?a=b","headers":{"X-Sig":["a"],"Content-Length":["18"],` +
	`"Authorization":["REDACTED"]},"tls":{"resumed":false,"version":772,"server_name":"hooks.example.com"}},"webhook_auth":"signature_mismatch","bytes_read":18,` +
	`"user_id":"","duration":2.5,"size":0,"status":401,"resp_headers":{"X-Sig":["b"]}}`

var loggedCapture = capture{
	method: "POST", scheme: "https", host: "hooks.example.com:8443", target: "/webhook?a=b", logged: true,
	arrived: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
	header:  http.Header{"X-Sig": {"a"}, "Content-Length": {"18"}, "Authorization": {"REDACTED"}},
}

func TestParseCapture(t *testing.T) {
	for _, c := range captures {
		got, err := parseCapture([]byte(c.text))
		if err != nil || !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
}

// No error shows what was read: it may be a secret, or a token in a field.
func TestParseCaptureErrors(t *testing.T) {
	const secret = "s3cr3t-v4lue"
	for _, c := range []struct{ name, text, want string }{
		{"text", "X-Sig: a\n" + secret, "line 2 is not of the form Name: value"},
		{"a name with a blank", secret + " x: a", "line 1 is not"},
		{"no name", ": " + secret, "line 1 is not"},
		{"no JSON", `{"X-Sig": ` + secret, "is not one JSON object"},
		{"two lines of a log", logged + "\n" + logged, "keep the one of this delivery"},
		{"another line of the log", `{"level":"warn","msg":"delivery refused","method":"` + secret + `"}`, "take the line of the access log about the same request"},
		{"two objects", `{"X-Sig": "` + secret + `"} {}`, "is not one JSON object"},
		{"objects in an object", `{"X-Sig": {"sha256": "` + secret + `"}}`, `"Name": ["value"], or is a line of Caddy's access log`},
		{"objects in a list", `{"X-Sig": [{"` + secret + `": 1}]}`, `the JSON object takes`},
		{"a line that does not end", "X-Sig: " + strings.Repeat("a", 1<<20), "token too long"},
	} {
		_, err := parseCapture([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "--headers: ") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: it shows what it read: %v", c.name, err)
		}
	}
}

// The forms in which Caddy's log can write a time.
func TestArrival(t *testing.T) {
	want := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, ts := range []string{
		`"ts":1782907200`, `"ts":1782907200.0`, `"ts":1782907200000`, `"ts":1782907200000.25`, `"ts":1782907200000000000`,
		`"ts":"2026-07-01T12:00:00Z"`, `"ts":"2026-07-01T14:00:00.000+0200"`, `"ts":"2026/07/01 12:00:00"`, `"ts":"2026/07/01 12:00:00.000"`,
		`"ts":1782907201.5,"duration":1.5`, `"ts":1782907200,"duration":1500000000`, `"ts":1782907200,"duration":"1.5s"`, `"ts":1782907200,"duration":-1`,
	} {
		got, err := parseCapture([]byte(`{` + ts + `,"request":{"headers":{}}}`))
		if err != nil || !got.arrived.Truncate(time.Second).Equal(want) {
			t.Errorf("%s: %v, %v", ts, got, err)
		}
	}
	for _, ts := range []string{`"ts":"Jul  1 12:00:00"`, `"ts":0`, `"ts":-1`, `"ts":null`, `"ts":{}`, `"x":1`, `"ts":1e999`} {
		got, err := parseCapture([]byte(`{` + ts + `,"request":{"headers":{}}}`))
		if err != nil || !got.arrived.IsZero() {
			t.Errorf("%s: %v, %v", ts, got, err)
		}
	}
}

func TestCaptureAddresses(t *testing.T) {
	for _, c := range []struct {
		capture capture
		want    []string
	}{
		{capture{host: "a.example", target: "/x"}, []string{"https://a.example/x", "http://a.example/x"}},
		{capture{scheme: "http", host: "a.example:80", target: "/x?y"}, []string{"http://a.example:80/x?y"}},
		{capture{host: "a.example"}, nil},
		{capture{target: "/x"}, nil},
	} {
		if got := c.capture.addresses(); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.capture, got, c.want)
		}
	}
	if q := (&capture{target: "/x?a=b&a=c&%zz"}).query(); q != "a=b&a=c&%zz" {
		t.Errorf("query: %v", q)
	}
}

// FuzzParseCapture: whatever a file holds, it is read or refused.
func FuzzParseCapture(f *testing.F) {
	for _, c := range captures {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseCapture(raw)
		if err == nil && got.header["Host"] != nil {
			t.Errorf("Host is left among the fields: %+v", got)
		}
		if err == nil {
			got.addresses()
			got.query()
		}
	})
}

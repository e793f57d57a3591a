package command

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
)

// asking is a command whose server answers with a text.
func asking(answer string) (c *command, out, told *bytes.Buffer) {
	out, told = new(bytes.Buffer), new(bytes.Buffer)
	ask := func(string, string, string, string) (*http.Response, error) {
		return &http.Response{Body: io.NopCloser(strings.NewReader(answer))}, nil
	}
	return &command{gateway: Gateway{Ask: ask}, out: &printer{w: out}, err: told}, out, told
}

// read reads streams, one after the other.
func read(t *testing.T, c *command, streams ...string) *tail {
	t.Helper()
	all := &tail{command: c, seen: make(map[string]adminapi.Delivery)}
	for _, stream := range streams {
		if err := all.read(io.NopCloser(strings.NewReader(stream))); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What is found out between two streams is shown, once, and a gap is told of.
func TestTailAcrossStreams(t *testing.T) {
	c, out, told := asking("")
	all := read(t, c,
		`{"hello":{}}
{"id":"a1","result":"refused"}
{"live":true}
{"id":"a2","result":"observed"}
{"id":"a1","result":"refused","diagnosis":"unknown","hint":"look","update":true}
`, `{"hello":{}}
{"lost":true}
{"id":"a1","result":"refused","diagnosis":"unknown","hint":"look","update":true}
{"id":"a2","result":"observed","app":"2xx","update":true}
{"id":"a2","result":"observed","app":"2xx","diagnosis":"other","hint":"else","update":true}
{"live":true}
{"dropped":7}
`)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{"a1", "a2", "  a1 unknown: look", "  a2 app 2xx", "  a2 other: else"}
	if len(lines) != len(want) {
		t.Fatalf("printed %q", lines)
	}
	for i, line := range lines {
		if !strings.Contains(line, want[i]) {
			t.Errorf("line %d is %q, want %q", i, line, want[i])
		}
	}
	if all.last != "a2" {
		t.Errorf("it goes on since %s", all.last)
	}
	if text := told.String(); !strings.Contains(text, "may be missing") || !strings.Contains(text, "7 deliveries") {
		t.Errorf("told %q", text)
	}
}

// A diagnosis of an older delivery is not where a stream goes on.
func TestTailGoesOnBehindTheNewest(t *testing.T) {
	c, _, _ := asking("")
	if all := read(t, c, `{"id":"new"}
{"id":"old","diagnosis":"unknown","update":true}
`); all.last != "new" {
		t.Errorf("it goes on since %s", all.last)
	}
}

// Without -f, too, JSON is one object a line.
func TestTailPrintsLines(t *testing.T) {
	c, out, _ := asking(`[{"id":"a1","path":"/\u009b31m\u007f"},{"id":"a2","path":"/é"}]`)
	c.lines, c.out.json = 20, true
	if err := c.tail(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("printed %q", lines)
	}
	for i, want := range []string{"/\u009b31m\x7f", "/é"} {
		var d adminapi.Delivery
		if err := json.Unmarshal([]byte(lines[i]), &d); err != nil || d.Path != want {
			t.Errorf("%v, %q", err, lines[i])
		}
	}
	if strings.ContainsAny(out.String(), "\u009b\x7f") || !strings.Contains(out.String(), "é") {
		t.Errorf("printed %q", out)
	}
	c.out.terminal = true
	if text := string(c.out.ascii([]byte(`"é😀` + "\x7f" + `"`))); text != `"\u00e9\ud83d\ude00\u007f"` {
		t.Errorf("on a terminal %s", text)
	}
}

// Gates of one name share their counts, and their findings are printed once, as text.
func TestStatusOfOneName(t *testing.T) {
	gate := `{"name":"hub","kind":"secret","mode":"enforce","deliveries":{"accepted":3},"findings":[{"kind":"secret_odd","severity":"warning","problem":"a \u001b[31m","cure":"b \u009b"}]}`
	c, out, _ := asking("[" + gate + "," + gate + "," + strings.Replace(gate, "hub", "other", 1) + "]")
	if err := c.status(); err != nil {
		t.Fatal(err)
	}
	want := `hub		secret	enforce	3	0	never	-	-
hub		secret	enforce	shared	shared	shared	shared	-
other		secret	enforce	3	0	never	-	-
warning secret_odd: gate hub: a \x1b[31m; b \u009b
warning secret_odd: gate other: a \x1b[31m; b \u009b
`
	if out.String() != want {
		t.Errorf("printed\n%q\nwant\n%q", out, want)
	}
}

// The page goes on behind the newest delivery, and is told of gaps and updates.
func TestPageStream(t *testing.T) {
	c, _, _ := asking("")
	server := streamed(t, c, `{"hello":{}}
{"lost":true}
{"id":"old","update":true}
{"id":"new"}
{"live":true}
{"id":"newer"}
{"id":"old","update":true}
`)
	for _, want := range []string{`"lost":true`, `"id":"old"`, `"live":false,"update":true`, `"live":true,"update":true`} {
		if !strings.Contains(server.sent.String(), want) {
			t.Errorf("%s is not in %s", want, &server.sent)
		}
	}
	if since := server.query.Get("since"); since != "newer" {
		t.Errorf("it goes on since %s", since)
	}
}

type sentStream struct {
	*pageStream
	sent bytes.Buffer
}

func streamed(t *testing.T, c *command, stream string) *sentStream {
	t.Helper()
	s := new(sentStream)
	s.pageStream = &pageStream{pageServer: newPageServer(c, "127.0.0.1:1"), w: &s.sent, out: http.NewResponseController(flushed{}), query: make(map[string][]string)}
	if err := s.copy(strings.NewReader(stream)); err != nil {
		t.Fatal(err)
	}
	return s
}

// flushed is a writer to a reader who takes everything.
type flushed struct{ http.ResponseWriter }

func (flushed) FlushError() error                { return nil }
func (flushed) SetWriteDeadline(time.Time) error { return nil }

package command

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What counts is whether the gate refused, which its id shows, and not the status.
func TestJudgeResult(t *testing.T) {
	byName := make(map[string]probe)
	for _, p := range matrix {
		byName[p.name] = p
	}
	for _, c := range []struct {
		probe    string
		got      result
		kept     bool
		expected string
		shown    string
	}{
		{"signed", result{Status: 200}, true, "let through", "200"},
		{"signed", result{Status: 503}, true, "let through", "503"},
		{"signed", result{Status: 401}, true, "let through", "401"},
		{"signed", result{Status: 401, ErrorID: "a"}, false, "let through", "401"},
		{"unsigned", result{Status: 401, ErrorID: "a"}, true, "401", "401"},
		{"unsigned", result{Status: 202, ErrorID: "a"}, true, "401", "202"},
		{"unsigned", result{Status: 401}, false, "401", "401"},
		{"tampered", result{Status: 200}, false, "401", "200"},
		{"over the limit", result{Status: 413, ErrorID: "a"}, true, "413", "413"},
		{"over the limit", result{Status: 413}, false, "413", "413"},
		{"over the limit", result{Status: 401, ErrorID: "a"}, false, "413", "401"}, // it was read
		{"over the limit", result{}, false, "413", "none"},
	} {
		r := c.got
		r.judge(byName[c.probe])
		if r.Kept != c.kept || r.Expected != c.expected || r.answer() != c.shown || r.Delivery != c.probe {
			t.Errorf("%s with %+v: %+v", c.probe, c.got, r)
		}
	}
}

// proberOf asks a URL.
func proberOf(t *testing.T, address, caFile, host string) *prober {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c := &command{options: options{method: http.MethodPost, caFile: caFile}, err: io.Discard}
	client, err := c.client(host)
	if err != nil {
		t.Fatal(err)
	}
	return &prober{command: c, address: u, client: client, header: http.Header{}}
}

// askPlain sends a request without a signature, and returns the error that the user sees.
func (p *prober) askPlain(t *testing.T) error {
	t.Helper()
	r, err := p.request(strings.NewReader("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.ask(r, "it")
	return err
}

// Where there is no answer, the error says what to do.
func TestExplainNoAnswer(t *testing.T) {
	hangs, release := context.WithCancel(t.Context())
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hangs":
			<-hangs.Done()
		case "/cuts":
			panic(http.ErrAbortHandler)
		}
	}))
	defer app.Close()
	defer release()
	secure := httptest.NewTLSServer(app.Config.Handler)
	defer secure.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	closed := listener.Addr().String()
	for _, c := range []struct {
		name, url, caFile, host string
		timeout                 time.Duration
		want                    string // empty: there is an answer
	}{
		{name: "an answer", url: app.URL},
		{name: "a closed port", url: "http://" + closed, want: "nothing listens on " + closed + "; start the server (caddy run), or correct the URL"},
		{name: "an unknown authority", url: secure.URL, want: "is not trusted here; run caddy trust, or name its authority with --cacert FILE"},
		{name: "a known authority", url: secure.URL, caFile: authority},
		{name: "a site by its name", url: secure.URL, caFile: authority, host: "example.com"},
		{name: "another name", url: secure.URL, caFile: authority, host: "other.test:443", want: "is for another name"},
		{name: "TLS to a plain server", url: strings.Replace(app.URL, "http:", "https:", 1), want: "speaks HTTP; write the URL with http://"},
		{name: "an app that hangs", url: app.URL + "/hangs", timeout: time.Millisecond, want: "did not answer within"},
		{name: "an app that cuts", url: app.URL + "/cuts", want: "no answer from 127.0.0.1:"},
	} {
		p := proberOf(t, c.url, c.caFile, c.host)
		if c.timeout > 0 {
			p.client.Timeout = c.timeout
		}
		err := p.askPlain(t)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	p := proberOf(t, "http://hooks.example.com", "", "")
	err = p.explain(&url.Error{Err: &net.OpError{Err: &net.DNSError{Name: "hooks.example.com", IsNotFound: true}}})
	if want := "there is no host named hooks.example.com; correct the URL, or reach the site by another with -H 'Host: hooks.example.com'"; err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := p.explain(errors.New("odd")); err.Error() != "no answer from hooks.example.com:80: odd" {
		t.Error(err)
	}
}

// A redirect is an answer: a sender does not follow it.
func TestClientFollowsNothing(t *testing.T) {
	app := httptest.NewServer(http.RedirectHandler("/other", http.StatusFound))
	defer app.Close()
	p := proberOf(t, app.URL, "", "")
	r, err := p.request(http.NoBody, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.ask(r, "it"); err != nil || got.Status != http.StatusFound {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestClientAuthorities(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file: "--cacert: the file holds no certificate in PEM", file + "s": "--cacert: open "} {
		c := &command{options: options{caFile: name}}
		if _, err := c.client(""); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

// What a request of the matrix says, and what it does not.
func TestProbeRequest(t *testing.T) {
	p := proberOf(t, "http://localhost:8080/webhook", "", "")
	p.header = http.Header{"Host": {"hooks.example.com"}, "X-Id": {"1"}}
	r, err := p.request(strings.NewReader("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Host != "hooks.example.com" || r.Header.Get("Host") != "" || r.Header.Get("User-Agent") != "caddy-webhook-send" || r.Header.Get("X-Id") != "1" {
		t.Errorf("%s %v", r.Host, r.Header)
	}
	p.method = "NO METHOD"
	if _, err := p.request(strings.NewReader("x"), nil); err == nil {
		t.Error("a method with a blank is sent")
	}
}

// What is announced and does not come ends after maxBlanks.
func TestBlanks(t *testing.T) {
	b := new(blanks)
	got := make([]byte, maxBlanks)
	if n, err := b.Read(got); n != maxBlanks || err != nil || strings.Trim(string(got), " ") != "" {
		t.Errorf("%d, %v", n, err)
	}
}

// A terminal gets a head and even columns, a pipe gets tabs.
func TestPrinterTable(t *testing.T) {
	head, rows := []string{"delivery", "promise"}, [][]string{{"signed", "kept"}, {"algorithm not allowed", "BROKEN"}}
	for _, c := range []struct {
		terminal bool
		want     string
	}{
		{false, "signed\tkept\nalgorithm not allowed\tBROKEN\n"},
		{true, "delivery                promise\nsigned                  kept\nalgorithm not allowed   BROKEN\n"},
	} {
		var b bytes.Buffer
		if err := (&printer{w: &b, terminal: c.terminal}).table(head, rows); err != nil || b.String() != c.want {
			t.Errorf("terminal %v: %q, %v", c.terminal, b.String(), err)
		}
	}
}

func TestPrinterColour(t *testing.T) {
	for _, c := range []struct {
		colour     bool
		good, evil string
	}{{false, "a", "a"}, {true, "\x1b[32ma\x1b[0m", "\x1b[31ma\x1b[0m"}} {
		p := &printer{colour: c.colour}
		if p.good("a") != c.good || p.bad("a") != c.evil {
			t.Errorf("%v: %q %q", c.colour, p.good("a"), p.bad("a"))
		}
	}
}

// What cannot be written is an error.
func TestPrinterErrors(t *testing.T) {
	for _, write := range []func(*printer) error{
		func(p *printer) error { return p.text("x") },
		func(p *printer) error { return p.object("x") },
		func(p *printer) error { return p.table([]string{"x"}, [][]string{{"y"}}) },
	} {
		for _, terminal := range []bool{true, false} {
			if err := write(&printer{w: failing{}, terminal: terminal}); err == nil {
				t.Errorf("terminal %v: nothing was written, and there is no error", terminal)
			}
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("no room") }

// The first promise that was broken says what to do.
func TestCure(t *testing.T) {
	p := &prober{target: &target{Gate: &Gate{MaxSize: 1024}}}
	for _, c := range []struct {
		got  result
		want string
	}{
		{result{Delivery: "signed", Status: 401, ErrorID: "abc"}, "The gate refused a signed delivery. Its log says why under the error_id abc."},
		{result{Delivery: "signed", Status: 200, ErrorID: "abc"}, "The answer 200 to a signed delivery has a Webhook-Auth-Error-Id."},
		{result{Delivery: "unsigned", Status: 401}, "A 401 without Webhook-Auth-Error-Id does not come from the gate"},
		{result{Delivery: "unsigned", Status: 200}, "What should have been refused was let through, or another server answered."},
		{result{Delivery: "over the limit"}, "with the max_size of this configuration (1024 bytes; caddy reload)"},
		{result{Delivery: "over the limit", Status: 401, ErrorID: "abc"}, "with the max_size of this configuration (1024 bytes; caddy reload)"},
	} {
		if got := p.cure(c.got); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s, want %s", c.got, got, c.want)
		}
	}
}

package caddymodule

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/history"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
)

// remembering gives a test a history of its own.
func remembering(t *testing.T, limit int) {
	t.Helper()
	before := past
	past = history.New(limit)
	t.Cleanup(func() { past = before })
}

func recorded(id, gate string, class history.Class) {
	past.Add(&history.Entry{ID: id, Gate: gate, Class: class, Time: time.Now(), Result: resultRefused, Path: "/hook/of-someone", Client: "192.0.2.7"})
}

// adminHandler is the admin API without Caddy around it.
func adminHandler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range (Admin{}).Routes() {
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handler.ServeHTTP(w, r); err != nil {
				http.Error(w, err.Error(), err.(caddy.APIError).HTTPStatus) //nolint:errorlint,forcetypeassert // it is what Caddy takes
			}
		})
	}
	return mux
}

// followed returns what a stream says until it is live, as words: ids, with a + for an
// update, and lost.
func followed(t *testing.T, query string) string {
	t.Helper()
	server := httptest.NewServer(adminHandler())
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+adminapi.Deliveries+"?follow&"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var words []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		var line adminapi.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		switch {
		case line.Live:
			return strings.Join(words, " ")
		case line.Lost:
			words = append(words, "lost")
		case line.Update:
			words = append(words, "+"+line.ID)
		case line.Delivery != nil:
			words = append(words, line.ID)
		}
	}
	t.Fatal("the stream ended before it was live")
	return ""
}

// Who comes back to a stream is told that something is missing, and only then.
func TestFollowSaysWhatIsLost(t *testing.T) {
	remembering(t, 4)
	recorded("a1", "a", history.Refused)
	recorded("a2", "a", history.Refused)
	for i := range 2 {
		recorded(fmt.Sprint("b", i), "b", history.Unsigned)
	}
	for query, want := range map[string]string{"": "a1 a2 b0 b1", "since=a2": "b0 b1", "since=b1": "", "since=never": "lost a1 a2 b0 b1"} {
		if got := followed(t, query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	for i := 2; i < 6; i++ { // they push out b0 to b3
		recorded(fmt.Sprint("b", i), "b", history.Unsigned)
	}
	for query, want := range map[string]string{
		"": "a1 a2 b4 b5", "since=a2": "lost b4 b5", "since=a2&gate=a": "", "since=a2&verdict=accepted": "", "since=b3": "lost a1 a2 b4 b5", "since=b4": "b5",
		"since=2001-01-01T00:00:00Z": "lost a1 a2 b4 b5", "since=9001-01-01T00:00:00Z": "", "since=0001-01-01T00:00:00Z&gate=a": "a1 a2",
	} {
		if got := followed(t, query); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

// What was found out between two streams comes with the second.
func TestFollowSendsUpdates(t *testing.T) {
	remembering(t, 10)
	recorded("a1", "a", history.Refused)
	past.Diagnose("a1", "unknown", "")
	recorded("a2", "a", history.Refused)
	past.Diagnose("a2", "unknown", "")
	recorded("a3", "a", history.Refused)
	if got, want := followed(t, "since=a2"), "+a2 a3"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := len(listed(t, "since=a2")); got != 1 {
		t.Errorf("a list without updates has %d", got)
	}
}

func listed(t *testing.T, query string) (all []adminapi.Delivery) {
	t.Helper()
	answer := httptest.NewRecorder()
	adminHandler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, adminapi.Deliveries+"?"+query, nil))
	if err := json.Unmarshal(answer.Body.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// A request that began early and was recorded late is not missed by one who asks with the
// time of what it has seen.
func TestSinceIsWhenItWasRecorded(t *testing.T) {
	remembering(t, 10)
	recorded("quick", "a", history.Refused)
	seen := listed(t, "")[0].Recorded.Format(time.RFC3339Nano)
	past.Add(&history.Entry{ID: "slow", Gate: "a", Time: time.Now().Add(-time.Minute)})
	if all := listed(t, "since="+seen); len(all) != 1 || all[0].ID != "slow" {
		t.Errorf("since %s: %+v", seen, all)
	}
}

// HEAD has no body, so there is nothing to wait for.
func TestHeadIsAnsweredAtOnce(t *testing.T) {
	remembering(t, 10)
	server := httptest.NewServer(adminHandler())
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, server.URL+adminapi.Deliveries+"?follow", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "application/x-ndjson" {
		t.Errorf("%d, %s", resp.StatusCode, got)
	}
}

// Over a network, the history does not say whose request it was unless it is asked to.
func TestRemoteReadersSeeNoDetails(t *testing.T) {
	remembering(t, 10)
	recorded("a1", "a", history.Refused)
	before := current
	defer func() { current = before }()
	for _, c := range []struct {
		at     net.Addr
		asked  bool
		hidden bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, false, false},
		{&net.UnixAddr{Name: "/run/admin.sock"}, false, false},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, false, true},
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, true, false},
		{nil, false, true},
	} {
		current = &App{RemoteDetails: c.asked}
		for _, path := range []string{"", "/a1"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, adminapi.Deliveries+path, nil)
			answer := httptest.NewRecorder()
			adminHandler().ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.at)))
			text := answer.Body.String()
			if shows := strings.Contains(text, "of-someone") || strings.Contains(text, "192.0.2.7"); shows == c.hidden || strings.Contains(text, `"hidden"`) != c.hidden {
				t.Errorf("%v, asked %v: %s", c.at, c.asked, text)
			}
		}
	}
}

// What a client sent is ASCII in the answer: curl prints it as it is.
func TestAdminAnswersInASCII(t *testing.T) {
	remembering(t, 10)
	text := "del\x7f csi\u009b31m \u202e 😀 é"
	past.Add(&history.Entry{ID: "x", Path: text})
	answer := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, adminapi.Deliveries+"/x", nil)
	adminHandler().ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, new(net.UnixAddr))))
	var d adminapi.Delivery
	if err := json.Unmarshal(answer.Body.Bytes(), &d); err != nil || d.Path != text {
		t.Errorf("%v, %q", err, d.Path)
	}
	if strings.ContainsFunc(answer.Body.String(), func(r rune) bool { return r >= 0x7f }) {
		t.Errorf("%q", answer.Body)
	}
}

// A stream ends with its server, also one that came when the server had begun to shut down,
// and nothing of either is left.
func TestStreamsEndWithTheirServer(t *testing.T) {
	remembering(t, 10)
	before := runtime.NumGoroutine()
	for i := range 50 {
		reload(t, i%2 == 0)
	}
	settles(t, "goroutines", func() int { return runtime.NumGoroutine() - before })
	settles(t, "servers", func() int {
		runtime.GC()
		ends.Lock()
		defer ends.Unlock()
		return len(ends.of)
	})
}

func settles(t *testing.T, what string, left func() int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); left() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d %s are left", left(), what)
		}
	}
}

// reload follows at a server that shuts down, as Caddy's does at each reload: before, or
// when it has begun and only waits for the request.
func reload(t *testing.T, late bool) {
	t.Helper()
	admin, arrived, begun := adminHandler(), make(chan bool), make(chan bool)
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		if late {
			<-begun
		}
		admin.ServeHTTP(w, r)
	})}
	server.RegisterOnShutdown(func() { close(begun) })
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ended := make(chan error)
	go func() {
		resp, err := client.Get("http://" + listener.Addr().String() + adminapi.Deliveries + "?follow")
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	<-arrived
	if !late {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Fatalf("late %v: the server waits for the stream: %v", late, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("late %v: %v", late, err)
	}
}

// check says that the admin API is open.
func TestOpenAdmin(t *testing.T) {
	t.Setenv("WEBHOOK_SECRET", testSecret)
	t.Setenv("XDG_DATA_HOME", t.TempDir()) // which loading changes
	for admin, open := range map[string]bool{
		"off": false, "localhost:2019": false, "127.0.0.1:2019": false, "[::1]:2019": false, "unix//run/caddy/admin.sock": false, "": false,
		":2019": true, "0.0.0.0:2019": true, "[::]:2019": true, "192.0.2.1:2019": true, "tcp/:2019": true,
	} {
		file, global := filepath.Join(t.TempDir(), "Caddyfile"), ""
		if admin != "" {
			global = "{\nadmin " + admin + "\n}\n"
		}
		if err := os.WriteFile(file, []byte(global+":8080 {\nwebhook_auth {\nsecret {env.WEBHOOK_SECRET}\n}\nreverse_proxy localhost:1\n}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := loadConfig(file, "caddyfile")
		if err != nil {
			t.Fatalf("%s: %v", admin, err)
		}
		plain, err := config.plain()
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range plain.Findings {
			found = found || f.Detail.(lint.Finding).Kind == lint.AdminOpen //nolint:forcetypeassert // it is one
		}
		if found != open {
			t.Errorf("admin %s: open %v, want %v", admin, found, open)
		}
	}
}

// pipes accepts connections without any buffer.
type pipes struct {
	noListener
	conns chan net.Conn
}

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

// A reader that does not read holds up no shutdown, and so no reload, for as long as Caddy
// waits.
func TestReadersThatDoNotRead(t *testing.T) {
	remembering(t, 100)
	for i := range 100 {
		recorded(fmt.Sprint(i), "a", history.Refused)
	}
	listener, admin, arrived, ends := pipes{conns: make(chan net.Conn)}, adminHandler(), make(chan bool), make(chan bool)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		if r.URL.Query().Has("late") { // nothing is written before it ends
			ctx, cancel := context.WithCancel(r.Context())
			<-ends
			cancel()
			r = r.WithContext(ctx)
		}
		admin.ServeHTTP(w, r)
	})}
	server.RegisterOnShutdown(func() { close(ends) })
	go func() { _ = server.Serve(listener) }()
	for _, query := range []string{"", "?follow", "?late", "?follow&late"} {
		reader, conn := net.Pipe()
		defer reader.Close()
		listener.conns <- conn
		if _, err := fmt.Fprintf(reader, "GET %s%s HTTP/1.1\r\nHost: localhost\r\n\r\n", adminapi.Deliveries, query); err != nil {
			t.Fatal(err)
		}
		<-arrived
	}
	close(listener.conns)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// A gate can read its token from a field that is shown.
func TestHistoryMasksWhatTheGateReads(t *testing.T) {
	remembering(t, 10)
	h := &Handler{Name: "a", Headers: []string{"user-agent"}}
	h.masks = h.maskedFields()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	r.Header.Set("User-Agent", "the token")
	r.Header.Set("Content-Type", "text/plain")
	h.rememberRefusal(r, new(attempt), http.StatusUnauthorized)
	if e := past.All()[0]; e.UserAgent != "(masked)" || e.ContentType != "text/plain" {
		t.Errorf("remembered: %+v", e)
	}
	if got := mask(r.Header, h.Headers)["User-Agent"][0]; got != "(masked)" {
		t.Errorf("captured: %s", got)
	}
	for target, want := range map[string]string{
		"/a?token=x": "/a?(masked)", "/a": "/a", "http://user:password@host/a?b": "(masked)", "http://host/a": "http://host/a", "*": "*", "http://%zz@": "(masked)",
	} {
		if got := withoutQuery(target); got != want {
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
}

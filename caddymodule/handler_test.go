package caddymodule

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

const (
	testSecret = "wk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	delivery   = `{"eventType":"test","eventData":{"text":"héllo"}}`
)

// sign is what a sender does.
func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(testSecret))
	io.WriteString(mac, body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// signed returns an authentic delivery of body.
func signed(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
	r.Header.Set("X-Hub-Signature", sign(body))
	return r
}

// provisioned returns a handler as Caddy would make it, and its log.
func provisioned(t testing.TB, h *Handler) (*Handler, *observer.ObservedLogs) {
	t.Helper()
	if h.Secrets == nil {
		h.Secrets = []Secret{{Name: "main", Value: testSecret}}
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	h.logger = zap.New(core)
	return h, logs
}

// A spy stands where the app would, and keeps what reached it.
type spy struct {
	calls  int
	r      *http.Request
	header http.Header // as it came: the gate locks the request afterwards
	body   []byte
	err    error
	answer func(http.ResponseWriter, *http.Request) error
	silent bool // it answers nothing but what answer does; else 200
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	s.calls++
	s.r, s.header = r, r.Header.Clone()
	if s.answer != nil {
		err := s.answer(w, r)
		if err == nil && !s.silent {
			w.WriteHeader(http.StatusOK)
		}
		return err
	}
	s.body, s.err = io.ReadAll(r.Body)
	w.WriteHeader(http.StatusOK)
	return nil
}

// recorder is a ResponseRecorder with a read deadline, as every writer of
// net/http has one.
type recorder struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
	fail      error
	answered  bool
}

func (w *recorder) WriteHeader(status int) {
	if status < 200 { // which ResponseRecorder takes for the answer
		return
	}
	w.answered = true
	w.ResponseRecorder.WriteHeader(status)
}

func (w *recorder) SetReadDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return w.fail
}

func newRecorder() *recorder { return &recorder{ResponseRecorder: httptest.NewRecorder()} }

// serve sends r through h and returns what came of it. The returned request is the one
// that an error route or an intercept would be given, the error a refusal, whether the
// gate answered it or returned it.
func serve(h *Handler, w http.ResponseWriter, r *http.Request, next *spy) (*http.Request, error) {
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
	err := h.ServeHTTP(w, r, next)
	if answered, ok := w.(*recorder); ok && err == nil && w.Header().Get("Webhook-Auth-Error-Id") != "" {
		err = caddyhttp.HandlerError{Err: errRefused, StatusCode: answered.Code, ID: w.Header().Get("Webhook-Auth-Error-Id")}
	}
	return r, err
}

func placeholder(r *http.Request, name string) string {
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	return repl.ReplaceAll("{http.webhook_auth."+name+"}", "")
}

func TestAuthenticDeliveryReachesTheApp(t *testing.T) {
	for name, body := range map[string]string{
		"JSON":       delivery,
		"empty":      "",
		"binary":     "\x00\xff\r\n\x1f\x8b",
		"a megabyte": strings.Repeat("0123456789abcdef", 1<<16),
	} {
		t.Run(name, func(t *testing.T) {
			h, logs := provisioned(t, &Handler{})
			next := new(spy)
			r, err := serve(h, newRecorder(), signed(body), next)
			if err != nil || next.err != nil || next.calls != 1 {
				t.Fatalf("err %v, body error %v, %d calls", err, next.err, next.calls)
			}
			if string(next.body) != body || next.r.ContentLength != int64(len(body)) {
				t.Errorf("got %d bytes, length %d; want %d", len(next.body), next.r.ContentLength, len(body))
			}
			if lines := logs.All(); len(lines) != 1 || lines[0].Level != zapcore.DebugLevel {
				t.Errorf("logged %v", lines)
			}
			for name, want := range map[string]string{"verified": "true", "secret": "main", "algorithm": "sha256", "reason": ""} {
				if got := placeholder(r, name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// The hash is there while the app is asked, and gone with the body.
func TestBodySHA256(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	var during string
	next := &spy{answer: func(_ http.ResponseWriter, r *http.Request) error {
		during = placeholder(r, "body_sha256")
		return nil
	}}
	r, err := serve(h, newRecorder(), signed(delivery), next)
	want := sha256.Sum256([]byte(delivery))
	if err != nil || during != hex.EncodeToString(want[:]) {
		t.Errorf("%v, %q", err, during)
	}
	if after := placeholder(r, "body_sha256"); after != "" {
		t.Errorf("afterwards %q", after)
	}
}

// brokenBody fails after some bytes.
type brokenBody struct {
	io.Reader
	err error
}

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = b.err
	}
	return n, err
}

func (brokenBody) Close() error { return nil }

// failing returns a delivery whose body breaks off with err.
func failing(err error) *http.Request {
	r := signed(delivery)
	r.Body = brokenBody{strings.NewReader(delivery[:10]), err}
	return r
}

func with(r *http.Request, change func(*http.Request)) *http.Request {
	change(r)
	return r
}

func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = values }
}

// refusals is one way at least into every reason of the closed set.
var refusals = []struct {
	name    string
	request func() *http.Request
	want    refusal.Reason
	unread  bool // the body must not have been touched
}{
	{"no field", func() *http.Request { return with(signed(delivery), header("X-Hub-Signature")) }, refusal.MissingSignature, true},
	{"two lines", func() *http.Request { return with(signed(delivery), header("X-Hub-Signature", "a", "b")) }, refusal.AmbiguousSignature, true},
	{"no digest", func() *http.Request { return with(signed(delivery), header("X-Hub-Signature", "sha256=")) }, refusal.MalformedSignature, true},
	{"sha1", func() *http.Request { return with(signed(delivery), header("X-Hub-Signature", "sha1=00")) }, refusal.AlgorithmNotAllowed, true},
	{"another body", func() *http.Request { return with(signed(delivery+"!"), header("X-Hub-Signature", sign(delivery))) }, refusal.SignatureMismatch, false},
	{"another method", func() *http.Request {
		return with(signed(delivery), func(r *http.Request) { r.Method, r.Header = "GET", http.Header{} })
	}, refusal.MissingSignature, true},

	{"declared too large", func() *http.Request { return signed(strings.Repeat("x", 1001)) }, refusal.BodyTooLarge, true},
	{"declared enormous", func() *http.Request {
		return with(signed(delivery), func(r *http.Request) { r.ContentLength = 1 << 62 })
	}, refusal.BodyTooLarge, true},
	{"too large, chunked", func() *http.Request {
		return with(signed(strings.Repeat("x", 1001)), func(r *http.Request) { r.ContentLength = -1 })
	}, refusal.BodyTooLarge, false},
	{"request_body's limit", func() *http.Request {
		return failing(caddyhttp.Error(http.StatusRequestEntityTooLarge, errors.New("too large")))
	}, refusal.BodyTooLarge, false},

	{"broken off", func() *http.Request { return failing(io.ErrUnexpectedEOF) }, refusal.BodyIncomplete, false},
	{"shorter than declared", func() *http.Request {
		return with(signed(delivery), func(r *http.Request) { r.ContentLength++ })
	}, refusal.BodyIncomplete, false},
	{"longer than declared", func() *http.Request {
		return with(signed(delivery), func(r *http.Request) { r.ContentLength-- })
	}, refusal.BodyIncomplete, false},
	{"too slow", func() *http.Request { return failing(os.ErrDeadlineExceeded) }, refusal.BodyTimeout, false},

	{"CONNECT", func() *http.Request {
		return with(signed(delivery), func(r *http.Request) { r.Method = "CONNECT" })
	}, refusal.MethodNotAllowed, true},
	{"early data", func() *http.Request {
		return with(signed(delivery), func(r *http.Request) { r.TLS = &tls.ConnectionState{} })
	}, refusal.EarlyData, true},
	{"incremental", func() *http.Request { return with(signed(delivery), header("Incremental", "?1")) }, refusal.Incremental, true},
}

// Each reason is hit, next does not run, and what is left of the request can be
// sent to no one.
func TestRefusals(t *testing.T) {
	hit := map[refusal.Reason]bool{
		refusal.Internal:            true, // TestNoDeadline
		refusal.Overloaded:          true, // TestOverloaded
		refusal.TimestampMissing:    true, // TestTimestamps
		refusal.TimestampMalformed:  true,
		refusal.TimestampOutOfRange: true,
		refusal.Duplicate:           true, // replay_test.go
		refusal.InFlight:            true,
		refusal.ReplayUnavailable:   true,
		refusal.NoApp:               true, // TestAppAnswers
		refusal.KeyUnknown:          true, // TestKeyIDs
		refusal.TenantUnknown:       true, // TestTenantRefusals
	}
	for _, tc := range tokenRefusals {
		hit[tc.want] = true // TestTokenRefusals
	}
	for _, tc := range refusals {
		hit[tc.want] = true
		t.Run(tc.name, func(t *testing.T) {
			h, logs := provisioned(t, &Handler{MaxSize: 1000, Name: "gate"})
			request := tc.request()
			w, next := newRecorder(), new(spy)
			touched := &touchedBody{ReadCloser: request.Body, w: w}
			request.Body = touched
			r, err := serve(h, w, request, next)
			wantRefused(t, w, r, err, next, tc.want)
			wantLogged(t, logs, err, tc.want)
			if touched.read == tc.unread {
				t.Errorf("body touched: %v", touched.read)
			}
			if !touched.closed {
				t.Error("a copy of the request can still read the body")
			}
		})
	}
	for _, reason := range refusal.All() {
		if !hit[reason] {
			t.Errorf("no test refuses with %s", reason)
		}
	}
}

// A touchedBody says whether it was read before the answer, and closed.
type touchedBody struct {
	io.ReadCloser
	w            *recorder
	read, closed bool
}

func (b *touchedBody) Read(p []byte) (int, error) {
	b.read = b.read || !b.w.answered
	return b.ReadCloser.Read(p)
}

func (b *touchedBody) Close() error {
	b.closed = true
	return b.ReadCloser.Close()
}

func wantRefused(t *testing.T, w *recorder, r *http.Request, err error, next *spy, want refusal.Reason) {
	t.Helper()
	if next.calls != 0 {
		t.Fatal("next ran")
	}
	he, ok := err.(caddyhttp.HandlerError) //nolint:errorlint // Caddy asserts the type without unwrapping
	if !ok || he.StatusCode != want.Status() || he.Err.Error() != "webhook delivery refused" {
		t.Errorf("error is %v, want status %d", err, want.Status())
	}
	if n, err := r.Body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF || r.ContentLength != -1 || r.GetBody != nil {
		t.Errorf("not locked: read %d, %v; length %d", n, err, r.ContentLength)
	}
	wantUnsendable(t, r)
	if got := placeholder(r, "reason"); got != string(want) {
		t.Errorf("reason is %q, want %q", got, want)
	}
	if got := placeholder(r, "verified"); got != "false" {
		t.Errorf("verified is %q", got)
	}
	for name := range w.Header() { // nothing else, and nothing of the reason
		if !slices.Contains([]string{"Webhook-Auth-Error-Id", "Www-Authenticate", "Allow", "Retry-After", "Connection", "Webhook-Auth-Duplicate"}, name) {
			t.Errorf("the answer has %s", name)
		}
	}
	if id := w.Header().Get("Webhook-Auth-Error-Id"); id == "" || id != he.ID {
		t.Errorf("error id is %q in the answer, %q in the error", id, he.ID)
	}
	if challenge := w.Header().Get("WWW-Authenticate"); (challenge == "HMAC") != (want.Status() == 401) {
		t.Errorf("challenge %q with status %d", challenge, want.Status())
	}
	if allow := w.Header().Get("Allow"); (allow != "") != (want.Status() == 405) {
		t.Errorf("Allow %q with status %d", allow, want.Status())
	}
}

// The transport refuses r before it dials, also in the copies that the tracing
// handler makes of a request.
func wantUnsendable(t *testing.T, r *http.Request) {
	t.Helper()
	copied := new(http.Request).WithContext(context.Background())
	copied.Header, copied.Method = r.Header, http.MethodGet
	copied.URL, _ = url.Parse("http://127.0.0.1:1/")
	dialled := false
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dialled = true
		return nil, net.ErrClosed
	}}
	if _, err := transport.RoundTrip(copied); err == nil || dialled {
		t.Errorf("can still be sent: dialled %v, %v", dialled, err)
	}
}

// One line, with the reason and the id that the sender was shown, and nothing of
// the request that could be a secret.
func wantLogged(t *testing.T, logs *observer.ObservedLogs, err error, want refusal.Reason) {
	t.Helper()
	entries := logs.All()
	if len(entries) != 1 {
		t.Fatalf("%d log lines, want 1", len(entries))
	}
	fields := entries[0].ContextMap()
	he, _ := errors.AsType[caddyhttp.HandlerError](err)
	if entries[0].Message != "delivery refused" || fields["reason"] != string(want) || fields["error_id"] != he.ID {
		t.Errorf("logged %q %v", entries[0].Message, fields)
	}
	for name, value := range fields {
		if s, ok := value.(string); ok && (strings.Contains(s, testSecret) || strings.Contains(s, sign(delivery))) {
			t.Errorf("field %s shows a secret or a digest", name)
		}
	}
}

// Without a deadline a body could take for ever: that is not accepted in silence.
func TestNoDeadline(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	w, next := newRecorder(), new(spy)
	w.fail = http.ErrNotSupported
	r, err := serve(h, w, signed(delivery), next)
	wantRefused(t, w, r, err, next, refusal.Internal)
}

// Where there is no room left the sender is told to come again.
func TestOverloaded(t *testing.T) {
	h, logs := provisioned(t, &Handler{Memory: 1})
	budget.Disk.SetLimit(1 << 20)
	defer new(App).apply()
	w, next := newRecorder(), new(spy)
	r, err := serve(h, w, signed(strings.Repeat("x", 2<<20)), next)
	wantRefused(t, w, r, err, next, refusal.Overloaded)
	wantLogged(t, logs, err, refusal.Overloaded)
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	next = new(spy)
	if _, err := serve(h, newRecorder(), signed(strings.Repeat("x", 1<<20)), next); err != nil || len(next.body) != 1<<20 {
		t.Errorf("with room again: %v, %d bytes", err, len(next.body))
	}
	if budget.Memory.Used() != 0 || budget.Disk.Used() != 0 {
		t.Errorf("still in use: %d, %d", budget.Memory.Used(), budget.Disk.Used())
	}
}

// inConfiguration returns the app as one of a configuration that the test ends.
func inConfiguration(t *testing.T, a *App) *App {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := a.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return a
}

// A configuration that says nothing of the budgets has the defaults, whatever the
// one before it said.
func TestBudgetsFollowTheConfiguration(t *testing.T) {
	small := inConfiguration(t, &App{MemoryBudget: 1, DiskBudget: 1})
	for _, app := range []*App{small, inConfiguration(t, new(App))} {
		if err := app.Start(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := serveMegabytes(t); err != nil {
		t.Error(err)
	}
	for _, app := range []*App{{MemoryBudget: -1}, {DiskBudget: -1}} {
		if err := app.Validate(); err == nil {
			t.Errorf("%+v was accepted", app)
		}
	}
}

// A configuration that fails to start is stopped, and leaves the budgets as they
// were; one that was replaced, and is stopped later, changes nothing.
func TestFailedConfigurationLeavesNoBudgets(t *testing.T) {
	running := inConfiguration(t, new(App))
	failing := inConfiguration(t, &App{DiskBudget: 1, MemoryBudget: 1})
	next := inConfiguration(t, &App{DiskBudget: 3 << 20})
	for _, step := range []func() error{running.Start, failing.Start, failing.Stop} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := serveMegabytes(t); err != nil {
		t.Errorf("after a failed configuration: %v", err)
	}
	for _, step := range []func() error{next.Start, running.Stop} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if budget.Disk.Limit() != 3<<20 {
		t.Errorf("the replaced configuration has left %d", budget.Disk.Limit())
	}
	if err := next.Stop(); err != nil || budget.Disk.Limit() != defaultDiskBudget {
		t.Errorf("at the end: %d, %v", budget.Disk.Limit(), err)
	}
}

// A flood of refusals, with methods of any length, fills no log.
func TestLogIsBounded(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	core, logs := observer.New(zapcore.DebugLevel)
	h.logger, h.dropped = sampled(zap.New(core))
	for range 500 {
		r := with(signed(delivery), func(r *http.Request) { r.Method = strings.Repeat("M", 1000); r.Header.Del("X-Hub-Signature") })
		serve(h, newRecorder(), r, new(spy))
	}
	if n := logs.Len(); n < 100 || n > 300 { // a second may end in between
		t.Errorf("%d lines for 500 refusals", n)
	}
	if method := logs.All()[0].ContextMap()["method"]; method != strings.Repeat("M", maxMethod) {
		t.Errorf("logged the method %q", method)
	}
}

func serveMegabytes(t *testing.T) (*http.Request, error) {
	h, _ := provisioned(t, &Handler{})
	return serve(h, newRecorder(), signed(strings.Repeat("x", 2<<20)), new(spy))
}

func TestDeadlines(t *testing.T) {
	h, _ := provisioned(t, &Handler{BodyTimeout: caddy.Duration(time.Hour)})
	w := newRecorder()
	serve(h, w, signed(delivery), new(spy))
	if len(w.deadlines) != 2 || time.Until(w.deadlines[0]) < time.Minute || !w.deadlines[1].IsZero() {
		t.Errorf("an accepted body set the deadlines %v", w.deadlines)
	}
	w = newRecorder()
	serve(h, w, with(signed(delivery), header("X-Hub-Signature")), new(spy))
	if len(w.deadlines) != 2 || time.Until(w.deadlines[0]) > drainTimeout || !w.deadlines[1].IsZero() {
		t.Errorf("a refused body set the deadlines %v", w.deadlines)
	}
}

// What was not signed and changes how a connection is read does not go on.
func TestHandOn(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	next := new(spy)
	r := with(signed(delivery), func(r *http.Request) {
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
		r.Trailer = http.Header{"X-Trailer": nil}
		for _, field := range []string{"Trailer", "Expect", "Upgrade", "Content-Length"} {
			r.Header.Set(field, "x")
		}
		r.Header.Set("Connection", "X-Hub-Signature, X-Github-Event")
		r.Header.Set("X-Github-Event", "push")
	})
	if _, err := serve(h, newRecorder(), r, next); err != nil {
		t.Fatal(err)
	}
	got := next.r
	if got.ContentLength != int64(len(delivery)) || got.TransferEncoding != nil || got.Trailer != nil {
		t.Errorf("length %d, transfer encoding %v, trailer %v", got.ContentLength, got.TransferEncoding, got.Trailer)
	}
	for field, want := range map[string]string{
		"Trailer": "", "Expect": "", "Upgrade": "", "Connection": "", "Content-Length": "50",
		"X-Github-Event": "push", "X-Hub-Signature": sign(delivery),
	} {
		if next.header.Get(field) != want {
			t.Errorf("%s is %q, want %q", field, next.header.Get(field), want)
		}
	}
}

// net/http sends a request again on its own where it has GetBody. That is right
// only where the app cannot have processed it.
func TestGetBody(t *testing.T) {
	for _, tc := range []struct {
		method, field string
		want          bool
	}{
		{"POST", "X-Other", true},
		{"PUT", "X-Other", true},
		{"DELETE", "X-Other", true},

		{"GET", "X-Other", false},
		{"HEAD", "X-Other", false},
		{"OPTIONS", "X-Other", false},
		{"TRACE", "X-Other", false},
		{"POST", "Idempotency-Key", false},
		{"POST", "X-Idempotency-Key", false},
	} {
		h, _ := provisioned(t, &Handler{})
		next := &spy{answer: func(_ http.ResponseWriter, r *http.Request) error {
			if (r.GetBody != nil) != tc.want {
				t.Errorf("%s with %s: GetBody set: %v", tc.method, tc.field, r.GetBody != nil)
			}
			if r.GetBody == nil {
				return nil
			}
			io.CopyN(io.Discard, r.Body, 7) // the second cursor does not care
			again, err := r.GetBody()
			if err != nil {
				return err
			}
			if all, err := io.ReadAll(again); err != nil || string(all) != delivery {
				t.Errorf("%s: second cursor read %q, %v", tc.method, all, err)
			}
			return again.Close()
		}}
		r := with(signed(delivery), func(r *http.Request) { r.Method = tc.method; r.Header.Set(tc.field, "x") })
		if _, err := serve(h, newRecorder(), r, next); err != nil {
			t.Error(err)
		}
	}
}

// Nor may it see a request without a body, which it sends again without GetBody.
func TestEmptyBody(t *testing.T) {
	for method, want := range map[string]int64{"POST": 0, "DELETE": 0, "GET": -1, "HEAD": -1} {
		h, _ := provisioned(t, &Handler{})
		next := new(spy)
		r := with(signed(""), func(r *http.Request) { r.Method = method })
		if _, err := serve(h, newRecorder(), r, next); err != nil || next.err != nil || len(next.body) != 0 {
			t.Errorf("%s: %v, read %q, %v", method, err, next.body, next.err)
		}
		if next.r.ContentLength != want || next.r.Body == http.NoBody {
			t.Errorf("%s: length %d, want %d", method, next.r.ContentLength, want)
		}
	}
}

// A sender that hangs up must not cut a verified delivery in half.
func TestDeliveryOutlivesTheSender(t *testing.T) {
	h, _ := provisioned(t, &Handler{DeliveryTimeout: caddy.Duration(time.Hour)})
	ctx, hangUp := context.WithCancel(context.Background())
	next := &spy{answer: func(_ http.ResponseWriter, r *http.Request) error {
		hangUp()
		deadline, ok := r.Context().Deadline()
		if !ok || time.Until(deadline) > time.Hour {
			t.Errorf("deadline %v, %v", deadline, ok)
		}
		return r.Context().Err()
	}}
	if _, err := serve(h, newRecorder(), signed(delivery).WithContext(ctx), next); err != nil {
		t.Error(err)
	}
}

// After next has returned, whatever it answered, the body is gone: for a
// transport that still reads, and for an error route that would deliver twice.
func TestBodyEndsWithTheAnswer(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) error{
		"answered": func(http.ResponseWriter, *http.Request) error { return nil },
		"failed":   func(http.ResponseWriter, *http.Request) error { return caddyhttp.Error(502, errors.New("app is down")) },
		"panicked": func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := provisioned(t, &Handler{})
			var late io.ReadCloser
			next := &spy{answer: func(w http.ResponseWriter, r *http.Request) error {
				late = r.Body
				io.CopyN(io.Discard, r.Body, 3)
				return answer(w, r)
			}}
			r := caddyhttp.PrepareRequest(signed(delivery), caddy.NewReplacer(), newRecorder(), nil)
			func() {
				defer func() { _ = recover() }()
				_ = h.ServeHTTP(newRecorder(), r, next)
			}()
			for _, body := range []io.Reader{late, r.Body} {
				if n, err := body.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
					t.Errorf("read %d, %v after the end", n, err)
				}
			}
			if r.ContentLength != -1 || r.GetBody != nil {
				t.Error("the request can be sent again")
			}
			wantUnsendable(t, r)
		})
	}
}

// Caddy hides Expect from net/http, which would wait 60 s for a body that the
// client holds back. Where the body was read, the expectation was met.
func TestExpect(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	for _, tc := range []struct {
		name, signature string
		major           int
		want            string
	}{
		{"refused unread", "sha256=", 1, "close"},
		{"refused unread, HTTP/2", "sha256=", 2, ""},
		{"refused after reading", sign("another"), 1, ""},
		{"accepted", sign(delivery), 1, ""},
	} {
		w := newRecorder()
		serve(h, w, with(signed(delivery), func(r *http.Request) {
			r.ProtoMajor = tc.major
			r.Header.Set("Expect", "100-continue")
			r.Header.Set("X-Hub-Signature", tc.signature)
		}), new(spy))
		if got := w.Header().Get("Connection"); got != tc.want {
			t.Errorf("%s: Connection %q, want %q", tc.name, got, tc.want)
		}
	}
}

// unsafe_observe_only lets everything through as it came, and says what it would
// have refused.
func TestObserveOnly(t *testing.T) {
	for _, tc := range refusals {
		if tc.want == refusal.BodyIncomplete || tc.want == refusal.BodyTimeout || tc.name == "request_body's limit" {
			continue // the body is broken at its source
		}
		t.Run(tc.name, func(t *testing.T) {
			h, logs := provisioned(t, &Handler{MaxSize: 1000, UnsafeObserveOnly: true})
			next := new(spy)
			want, _ := io.ReadAll(tc.request().Body)
			r, err := serve(h, newRecorder(), tc.request(), next)
			if err != nil || next.calls != 1 || next.err != nil || !bytes.Equal(next.body, want) {
				t.Fatalf("err %v, %d calls, read %d bytes, %v; want %d", err, next.calls, len(next.body), next.err, len(want))
			}
			if logs.FilterMessage("delivery observed").FilterField(zap.String("reason", string(tc.want))).Len() != 1 {
				t.Errorf("logged %v", logs.All())
			}
			if placeholder(r, "verified") != "false" {
				t.Error("the placeholder says verified")
			}
		})
	}
}

// A body that broke off stays broken: the app sees the error, not a shorter body.
func TestObserveOnlyKeepsErrors(t *testing.T) {
	h, _ := provisioned(t, &Handler{UnsafeObserveOnly: true})
	next := new(spy)
	serve(h, newRecorder(), failing(io.ErrUnexpectedEOF), next)
	if string(next.body) != delivery[:10] || !errors.Is(next.err, io.ErrUnexpectedEOF) {
		t.Errorf("the app read %q, %v", next.body, next.err)
	}
}

// A second gate in the same route speaks for itself.
func TestTwoGates(t *testing.T) {
	first, _ := provisioned(t, &Handler{})
	second, _ := provisioned(t, &Handler{Secrets: []Secret{{Value: "another secret, 16+"}}})
	next := new(spy)
	var inner *http.Request
	_, err := serve(first, newRecorder(), signed(delivery), &spy{answer: func(w http.ResponseWriter, r *http.Request) error {
		inner = r
		return second.ServeHTTP(w, r, next)
	}})
	if err == nil || next.calls != 0 || placeholder(inner, "verified") != "false" || placeholder(inner, "secret") != "" {
		t.Errorf("err %v, %d calls, verified %s", err, next.calls, placeholder(inner, "verified"))
	}
}

// logs.trace prints handlers whole.
func TestLogObjectShowsNoSecret(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	enc := zapcore.NewMapObjectEncoder()
	if err := h.MarshalLogObject(enc); err != nil {
		t.Fatal(err)
	}
	line, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zap.Field{zap.Any("handler", h)})
	if err != nil || strings.Contains(line.String(), testSecret) || enc.Fields["secrets"] != 1 {
		t.Errorf("printed %s, %v", line, err)
	}
}

// Whatever reads the body beside the app has a cursor of its own.
func TestPlaceholderTakesNothingAway(t *testing.T) {
	h, _ := provisioned(t, &Handler{})
	for range 2 {
		next := &spy{}
		reads := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
			for range 2 {
				if got := repl.ReplaceAll("{http.request.body}", ""); got != delivery {
					t.Errorf("the placeholder is %q", got)
				}
			}
			return next.ServeHTTP(w, r)
		})
		w := newRecorder()
		r := caddyhttp.PrepareRequest(signed(delivery), caddy.NewReplacer(), w, nil)
		if err := h.ServeHTTP(w, r, reads); err != nil || string(next.body) != delivery || next.err != nil {
			t.Errorf("the app read %q, %v, %v", next.body, next.err, err)
		}
	}
}

// In HTTP/2 and HTTP/3 the end of the stream ends a message, not its length.
func TestEmptyBodyEndsWithItsStream(t *testing.T) {
	for name, tc := range map[string]struct {
		body io.Reader
		want refusal.Reason
	}{
		"ended":      {strings.NewReader(""), ""},
		"open":       {brokenBody{strings.NewReader(""), os.ErrDeadlineExceeded}, refusal.BodyTimeout},
		"more bytes": {strings.NewReader("x"), refusal.BodyIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := provisioned(t, &Handler{})
			next := new(spy)
			r := signed("")
			r.ProtoMajor, r.ContentLength, r.Body = 2, 0, io.NopCloser(tc.body)
			r, err := serve(h, newRecorder(), r, next)
			if got := placeholder(r, "reason"); got != string(tc.want) || (err == nil) != (tc.want == "") || (next.calls == 1) != (tc.want == "") {
				t.Errorf("refused with %q, want %q; %v, %d calls", got, tc.want, err, next.calls)
			}
		})
	}
}

// Who answers is what on_refusal says; the lock is the same.
func TestOnRefusal(t *testing.T) {
	for mode, asks := range map[string]bool{"": false, answerRefusals: false, handleErrors: true} {
		h, _ := provisioned(t, &Handler{OnRefusal: mode})
		w := newRecorder()
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(delivery))
		r.Header.Set("Connection", "close, X-Y")
		r.Header.Set("Upgrade", "h2c")
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, nil)
		err := h.ServeHTTP(w, r, new(spy))
		he, returned := err.(caddyhttp.HandlerError) //nolint:errorlint // Caddy asserts the type without unwrapping
		if returned != asks || w.answered == asks || asks && he.ID != w.Header().Get("Webhook-Auth-Error-Id") {
			t.Errorf("%q: returned %v, answered %v", mode, err, w.answered)
		}
		if r.Header[lockField] == nil || r.Header["Connection"] != nil || r.Header["Upgrade"] != nil {
			t.Errorf("%q: not locked: %v", mode, r.Header)
		}
	}
}

package caddymodule

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// withGuard returns a handler with a guard of its own.
func withGuard(t testing.TB, h *Handler) (*Handler, *observer.ObservedLogs) {
	t.Helper()
	h.Name = t.Name()
	if h.Replay == nil {
		h.Replay = &Replay{}
	}
	h.Replay.Window = caddy.Duration(time.Hour)
	return provisioned(t, h)
}

// broken is a store that cannot be reached, and says in its error what nobody may
// be told.
type broken struct{}

var errStore = errors.New("the store is down")

func init() { caddy.RegisterModule(broken{}) }

func (broken) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: replay.Namespace + ".broken", New: func() caddy.Module { return new(broken) }}
}
func (b *broken) Open(string) (replay.Store, error) { return b, nil }
func (b *broken) Claim(context.Context, replay.Claim) (replay.State, time.Time, error) {
	return replay.Unknown, time.Time{}, errStore
}
func (b *broken) Commit(context.Context, replay.Claim, time.Duration) error { return errStore }
func (b *broken) Release(context.Context, replay.Claim) error               { return errStore }

func wantStatus(t *testing.T, err error, status int) {
	t.Helper()
	he, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || he.StatusCode != status {
		t.Errorf("error %v, want status %d", err, status)
	}
}

func TestRepetitionIsAnswered(t *testing.T) {
	h, logs := withGuard(t, &Handler{})
	next := new(spy)
	if _, err := serve(h, newRecorder(), signed(delivery), next); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w := newRecorder()
		r := signed(delivery)
		r.Header.Set("X-GitHub-Delivery", "another id, which nobody has signed")
		r, err := serve(h, w, r, next)
		if err != nil || w.Code != http.StatusOK || w.Body.Len() > 0 || next.calls != 1 || w.Header().Get("Webhook-Auth-Duplicate") != "true" {
			t.Fatalf("error %v, status %d, body %q, %d calls", err, w.Code, w.Body, next.calls)
		}
		for name, want := range map[string]string{"verified": "false", "duplicate": "true", "reason": "duplicate"} {
			if got := placeholder(r, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
	lines := logs.FilterMessage("delivery repeated").All()
	if len(lines) != 3 {
		t.Fatalf("logged %v", logs.All())
	}
	fields := lines[0].ContextMap()
	if first, ok := fields["first"].(time.Time); !ok || time.Since(first) > time.Minute || fields["reason"] != "duplicate" || fields["status"] != int64(200) {
		t.Errorf("logged %v", fields)
	}
	if r, err := serve(h, newRecorder(), signed("another"), next); err != nil || next.calls != 2 || placeholder(r, "duplicate") != "false" {
		t.Errorf("another delivery: error %v, %d calls", err, next.calls)
	}
}

// What the app did not take passes again, whatever it did instead.
func TestRetryAfterAFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		app  func(http.ResponseWriter, *http.Request) error
		took bool
	}{
		"200":         {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(200); return nil }, true},
		"204":         {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(204); return nil }, true},
		"a flush":     {func(w http.ResponseWriter, _ *http.Request) error { return http.NewResponseController(w).Flush() }, true},
		"a body":      {func(w http.ResponseWriter, _ *http.Request) error { io.WriteString(w, "taken"); return nil }, true},
		"a copy":      {func(w http.ResponseWriter, _ *http.Request) error { io.Copy(w, strings.NewReader("taken")); return nil }, true},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(103); w.WriteHeader(202); return nil }, true},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(200)
			return errors.New("broken off")
		}, true},
		"half, and panic": {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(200); panic(http.ErrAbortHandler) }, true},
		"nobody answers":  {func(http.ResponseWriter, *http.Request) error { return nil }, false},
		"hints alone":     {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(103); return nil }, false},
		"302":             {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(302); return nil }, false},
		"404":             {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(404); return nil }, false},
		"500, then body":  {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(500); w.Write(nil); return nil }, false},
		"500, then 200":   {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(500); w.WriteHeader(200); return nil }, false},
		"hints, then 500": {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(103); w.WriteHeader(500); return nil }, false},
		"an error":        {func(http.ResponseWriter, *http.Request) error { return caddyhttp.Error(502, io.ErrUnexpectedEOF) }, false},
		"a panic":         {func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _ := withGuard(t, &Handler{})
			app := &spy{answer: tc.app, silent: true}
			again := func() (panicked any) {
				defer func() { panicked = recover() }()
				serve(h, newRecorder(), signed(delivery), app)
				return nil
			}
			if panicked := again(); (panicked != nil) != strings.Contains(name, "panic") {
				t.Errorf("panic %v", panicked)
			}
			want := 2
			if tc.took {
				want = 1
			}
			if again(); app.calls != want {
				t.Errorf("%d calls, want %d", app.calls, want)
			}
		})
	}
}

// While the app has a delivery, nobody else gets it; the sender's hanging up
// changes nothing.
func TestRepetitionInFlight(t *testing.T) {
	h, logs := withGuard(t, &Handler{})
	ctx, hangUp := context.WithCancel(t.Context())
	app := new(spy)
	app.answer = func(w http.ResponseWriter, r *http.Request) error {
		if app.calls > 1 {
			t.Error("it came twice")
			return nil
		}
		hangUp()
		again := newRecorder()
		repeated, err := serve(h, again, signed(delivery), app)
		wantStatus(t, err, http.StatusConflict)
		if again.Header().Get("Retry-After") == "" || again.Header().Get("Webhook-Auth-Error-Id") == "" || again.Header().Get("Webhook-Auth-Duplicate") != "" {
			t.Errorf("answered with %v", again.Header())
		}
		if got := placeholder(repeated, "reason") + placeholder(repeated, "duplicate"); got != "in_flightfalse" {
			t.Errorf("placeholders %q", got)
		}
		if r.Context().Err() != nil {
			t.Error("the delivery depends on the sender")
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	if _, err := serve(h, newRecorder(), signed(delivery).WithContext(ctx), app); err != nil {
		t.Fatal(err)
	}
	w := newRecorder()
	if _, err := serve(h, w, signed(delivery), app); err != nil || w.Code != http.StatusOK || app.calls != 1 {
		t.Errorf("error %v, status %d, %d calls", err, w.Code, app.calls)
	}
	if lines := logs.FilterMessage("delivery refused").All(); len(lines) != 1 || lines[0].ContextMap()["first"] == nil {
		t.Errorf("logged %v", logs.All())
	}
}

func TestOnDuplicate(t *testing.T) {
	h, logs := withGuard(t, &Handler{Replay: &Replay{OnDuplicate: "409"}})
	app := new(spy)
	serve(h, newRecorder(), signed(delivery), app)
	w := newRecorder()
	_, err := serve(h, w, signed(delivery), app)
	wantStatus(t, err, http.StatusConflict)
	if app.calls != 1 || w.Header().Get("Retry-After") == "" || w.Header().Get("Webhook-Auth-Duplicate") != "true" {
		t.Errorf("%d calls, answered with %v", app.calls, w.Header())
	}
	if n := len(w.deadlines); n != 2 || !w.deadlines[1].IsZero() { // the body was read; its time is over
		t.Errorf("read deadlines %v", w.deadlines)
	}
	if lines := logs.FilterMessage("delivery refused").All(); len(lines) != 1 || lines[0].ContextMap()["status"] != int64(409) {
		t.Errorf("logged %v", logs.All())
	}
}

func TestOnDuplicatePass(t *testing.T) {
	h, logs := withGuard(t, &Handler{Replay: &Replay{OnDuplicate: "pass"}})
	app := new(spy)
	for n, want := range []string{"false", "true", "true"} {
		r, err := serve(h, newRecorder(), signed(delivery), app)
		if err != nil || app.calls != n+1 || string(app.body) != delivery {
			t.Fatalf("error %v, %d calls, body %q", err, app.calls, app.body)
		}
		if got := placeholder(r, "duplicate"); got != want || placeholder(r, "verified") != "true" {
			t.Errorf("duplicate is %q, want %q", got, want)
		}
	}
	if logs.FilterMessage("delivery passed the replay guard").Len() != 2 {
		t.Errorf("logged %v", logs.All())
	}
}

func TestOnError(t *testing.T) {
	down := json.RawMessage(`{"store":"broken"}`)
	h, logs := withGuard(t, &Handler{Replay: &Replay{StoreRaw: down}})
	app, w := new(spy), newRecorder()
	r, err := serve(h, w, signed(delivery), app)
	wantStatus(t, err, http.StatusServiceUnavailable)
	if app.calls != 0 || w.Header().Get("Retry-After") == "" || placeholder(r, "reason") != "replay_unavailable" {
		t.Errorf("%d calls, answered with %v", app.calls, w.Header())
	}
	if logs.FilterField(zap.Error(errStore)).Len() != 1 {
		t.Errorf("logged %v", logs.All())
	}
	if strings.Contains(err.Error(), errStore.Error()) {
		t.Errorf("the answer says %v", err)
	}

	h, _ = withGuard(t, &Handler{Replay: &Replay{StoreRaw: down, OnError: "pass"}})
	for range 2 {
		if r, err := serve(h, newRecorder(), signed(delivery), app); err != nil || placeholder(r, "verified") != "true" {
			t.Errorf("error %v", err)
		}
	}
	if app.calls != 2 {
		t.Errorf("%d calls, want 2", app.calls)
	}
}

// A stuck is a sender that does not read: an answer to it never gets away.
type stuck struct {
	*recorder
	writing, read chan struct{}
}

func (w *stuck) WriteHeader(int) { close(w.writing); <-w.read }

// The app took the delivery as soon as it answers. That does not wait for the
// sender to read the answer.
func TestSenderDoesNotRead(t *testing.T) {
	h, _ := withGuard(t, &Handler{})
	app, w := new(spy), &stuck{newRecorder(), make(chan struct{}), make(chan struct{})}
	defer close(w.read)
	go serve(h, w, signed(delivery), app)
	<-w.writing
	if r, err := serve(h, newRecorder(), signed(delivery), app); err != nil || placeholder(r, "reason") != "duplicate" {
		t.Errorf("error %v, reason %q", err, placeholder(r, "reason"))
	}
}

// Two gates of one name in one configuration would share what they remember, and an
// app would miss what the other one took.
func TestGuardedNamesAreUnique(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	load := func(name string, guard *Replay) error {
		return (&Handler{Name: name, Secrets: []Secret{{Value: testSecret}}, Replay: guard}).Provision(ctx)
	}
	hour := caddy.Duration(time.Hour)
	for _, err := range []error{load("", nil), load("", &Replay{Window: hour}), load("", nil), load("two", &Replay{Window: hour})} {
		if err != nil {
			t.Error(err)
		}
	}
	if err := load("hub", &Replay{Window: hour}); err == nil || !strings.Contains(err.Error(), "a name of its own") {
		t.Errorf("error %v", err)
	}
}

// A claim that cannot be finished changes nothing about the app's answer.
func TestStoreFailsBehindTheApp(t *testing.T) {
	h, logs := withGuard(t, &Handler{})
	h.Replay.store = claimsOnly{}
	app := new(spy)
	for _, status := range []int{http.StatusOK, http.StatusNotFound} {
		app.answer = respond(status)
		w := newRecorder()
		if _, err := serve(h, w, signed(delivery), app); err != nil || w.Code != status {
			t.Errorf("error %v, status %d", err, w.Code)
		}
	}
	app.answer = respond(http.StatusInternalServerError)
	serve(h, newRecorder(), signed(delivery), app)
	h.Replay.OnError, h.Replay.store = "pass", &broken{} // the claim may hold in spite of its error
	serve(h, newRecorder(), signed(delivery), app)
	if n := logs.FilterMessageSnippet("released").FilterField(zap.Error(errStore)).Len(); n != 3 {
		t.Errorf("logged %v", logs.All())
	}
	if logs.FilterField(zap.Error(errStore)).Len() != 5 {
		t.Errorf("logged %v", logs.All())
	}
}

// claimsOnly fails from the first claim on.
type claimsOnly struct{ broken }

func (claimsOnly) Claim(context.Context, replay.Claim) (replay.State, time.Time, error) {
	return replay.Fresh, time.Time{}, nil
}
func (claimsOnly) Commit(context.Context, replay.Claim, time.Duration) error { return errStore }
func (claimsOnly) Release(context.Context, replay.Claim) error               { return errStore }

// Under unsafe_observe_only the guard says what it would do.
func TestReplayObserved(t *testing.T) {
	h, logs := withGuard(t, &Handler{UnsafeObserveOnly: true})
	app := new(spy)
	for range 2 {
		if _, err := serve(h, newRecorder(), signed(delivery), app); err != nil || string(app.body) != delivery {
			t.Errorf("error %v, body %q", err, app.body)
		}
	}
	lines := logs.FilterMessage("delivery observed").All()
	if app.calls != 2 || len(lines) != 1 || lines[0].ContextMap()["reason"] != "duplicate" {
		t.Errorf("%d calls, logged %v", app.calls, logs.All())
	}
}

// A delivery that carries two signatures cannot be sent once with each.
func TestRepetitionUnderAnotherSignature(t *testing.T) {
	const second = "another secret, long enough"
	h, _ := withGuard(t, &Handler{
		Secrets: []Secret{{Value: second}, {Value: testSecret}}, Algorithms: []string{"sha256", "sha1"},
	})
	app := new(spy)
	for _, r := range []*http.Request{signed(delivery), signedBy(second, "sha256", delivery), signedBy(testSecret, "sha1", delivery)} {
		w := newRecorder()
		if _, err := serve(h, w, r, app); err != nil || w.Code != http.StatusOK {
			t.Errorf("error %v, status %d", err, w.Code)
		}
	}
	if app.calls != 1 {
		t.Errorf("%d calls, want 1", app.calls)
	}
}

// signedBy returns a delivery under any secret and algorithm.
func signedBy(secret, algorithm, body string) *http.Request {
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New}
	mac := hmac.New(hashes[algorithm], []byte(secret))
	io.WriteString(mac, body)
	r := signed(body)
	r.Header.Set("X-Hub-Signature", algorithm+"="+hex.EncodeToString(mac.Sum(nil)))
	return r
}

// A refused request claims nothing.
func TestForgeryClaimsNothing(t *testing.T) {
	h, _ := withGuard(t, &Handler{})
	app := new(spy)
	forged := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(delivery))
	forged.Header.Set("X-Hub-Signature", sign("something else"))
	_, err := serve(h, newRecorder(), forged, app)
	wantStatus(t, err, http.StatusUnauthorized)
	if _, err := serve(h, newRecorder(), signed(delivery), app); err != nil || app.calls != 1 {
		t.Errorf("error %v, %d calls", err, app.calls)
	}
}

// Two gates of different names have nothing in common; a reload of one keeps what
// it remembers.
func TestReplayAcrossReload(t *testing.T) {
	app := new(spy)
	load := func(name string) *Handler {
		h := &Handler{Name: name, Replay: &Replay{Window: caddy.Duration(time.Hour)}}
		provisioned(t, h)
		return h
	}
	for _, name := range []string{t.Name(), t.Name(), t.Name() + "2"} {
		if _, err := serve(load(name), newRecorder(), signed(delivery), app); err != nil {
			t.Error(err)
		}
	}
	if app.calls != 2 {
		t.Errorf("%d calls, want 2", app.calls)
	}
}

func TestReplayConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"replay":                                             "exactly one argument",
		"replay 0s":                                          "greater than zero",
		"replay soon":                                        "a duration",
		"replay 1h 2h":                                       "exactly one argument",
		"replay 1h {\n window 2h\n}":                         "unknown option \"window\"; write it behind replay: replay 24h",
		"replay 1h {\n store\n}":                             "name of a store",
		"replay 1h {\n store wk-5f1d\n}":                     "memory or redis",
		"replay 1h {\n store nowhere\n}":                     "unknown store \"nowhere\"",
		"replay 1h {\n store memory 5\n}":                    "name of a store",
		"replay 1h {\n on_duplicate 202\n}":                  "unknown value \"202\"; write 200, 409 or pass",
		"replay 1h {\n on_error ignore\n}":                   "unknown value \"ignore\"; write refuse or pass",
		"replay 1h {\n store memory {\n max_entries x\n}\n}": "max_entries",
		"replay 1h\nreplay 2h":                               "twice",
	} {
		h := new(Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("webhook_auth {\nsecret " + testSecret + "\n" + text + "\n}"))
		if err == nil {
			err = h.checkOptions()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wk-") {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	for _, h := range []*Handler{
		{Replay: &Replay{}},
		{Replay: &Replay{Window: -1}},
		{Replay: &Replay{Window: caddy.Duration(999 * time.Millisecond)}},
		{Replay: &Replay{Window: caddy.Duration(time.Second), StoreRaw: json.RawMessage(`{"store":"nowhere"}`)}},
		{Replay: &Replay{Window: caddy.Duration(time.Second), StoreRaw: json.RawMessage(`{"store":"memory","max_entries":-1}`)}},
	} {
		h.Secrets = []Secret{{Value: testSecret}}
		ctx, err := caddy.ProvisionContext(&caddy.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Provision(ctx); err == nil || !strings.Contains(err.Error(), "replay") {
			t.Errorf("%+v: error %v", h.Replay, err)
		}
	}
}

// A replay key has no name, so its error does not speak of one.
func TestShortReplayKey(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{Secrets: []Secret{{Value: testSecret}}, Replay: &Replay{Window: caddy.Duration(time.Second), Key: "xq7Lw0Rv"}}
	const want = "replay: key: a literal has at least 16 bytes; write {env.NAME} or {file./path}"
	if err := h.Provision(ctx); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// What was delivered is known after a rotation, at once and on each gateway, whichever
// swaps its secret first; a key of the guard's own makes it another store's.
func TestReplayAcrossRotation(t *testing.T) {
	next := new(spy)
	gate := func(key string, secrets ...Secret) *Handler {
		h, _ := withGuard(t, &Handler{Secrets: secrets, Replay: &Replay{Key: key}})
		return h
	}
	old, fresh := Secret{Name: "old", Value: testSecret}, Secret{Name: "new", Value: "another secret, long enough"}
	const ownKey, otherKey = "a key of the guard's own", "another key of the guard's"
	for i, tc := range []struct {
		h     *Handler
		calls int
	}{
		{gate("", old), 1},
		{gate("", fresh, old), 1},
		{gate("", old, fresh), 1},
		{gate("", old), 1},
		{gate(ownKey, old), 2},
		{gate(ownKey, fresh, old), 2},
		{gate(otherKey, old), 3},
	} {
		if _, err := serve(tc.h, newRecorder(), signed(delivery), next); err != nil || next.calls != tc.calls {
			t.Errorf("%d: %v, the app was called %d times, want %d", i, err, next.calls, tc.calls)
		}
	}
	// A sender that signs with the new secret sends the same delivery.
	if _, err := serve(gate("", fresh, old), newRecorder(), signedBy(fresh.Value, "sha256", delivery), next); err != nil || next.calls != 3 {
		t.Errorf("%v, the app was called %d times", err, next.calls)
	}
	for _, bad := range []string{"short", "{env.NO_SUCH_VARIABLE_X}", "changeme-changeme", "${REPLAY_KEY}"} {
		h := &Handler{Name: "bad", Secrets: []Secret{old}, Replay: &Replay{Window: caddy.Duration(time.Hour), Key: bad}}
		if err := h.Provision(emptyContext(t)); err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

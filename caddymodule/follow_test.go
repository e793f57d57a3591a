package caddymodule

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// inFile is a gate with its secret in a file, and what writes the file and has the gate
// notice.
func inFile(t *testing.T, h *Handler) (*Handler, func(secret string)) {
	t.Helper()
	path := write(t, testSecret)
	h.Secrets = []Secret{{Value: "{file." + path + "}"}}
	h, _ = provisioned(t, h)
	return h, func(secret string) {
		if err := os.WriteFile(path, []byte(secret), 0o600); err != nil {
			t.Error(err)
		}
		if refused := h.notice(t.Context(), h.files.read()); refused != [sha256.Size]byte{} {
			t.Errorf("%s", h.files.problem)
		}
	}
}

const anotherSecret = "another-secret-of-the-sender-0123456789"

// A change between the header section and the last byte of the body is nothing to that
// request: it was signed, and its check is answered, under the secret of before.
func TestChangeInTheMiddle(t *testing.T) {
	h, change := inFile(t, &Handler{Preset: "zoom"})
	const body = `{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"}}`
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader(body[:9]), onRead(func() { change(anotherSecret) }), strings.NewReader(body[9:])))
	r.ContentLength = int64(len(body))
	r.Header.Set("X-Zm-Request-Timestamp", at)
	r.Header.Set("X-Zm-Signature", "v0="+sumUnder(testSecret, "v0:"+at+":"+body))
	w := newRecorder()
	serve(h, w, r, new(spy))
	if want := sumUnder(testSecret, "qgg8vlvZRS6UYooatFL8Aw"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
		t.Errorf("answer %d %q, want the MAC under the secret of before", w.Code, w.Body)
	}
}

// An onRead is an empty part of a body, and does something when it is read.
type onRead func()

func (do onRead) Read([]byte) (int, error) {
	do()
	return 0, io.EOF
}

// What was delivered stays known when the secrets change.
func TestReplayAcrossAChange(t *testing.T) {
	h, change := inFile(t, &Handler{Name: t.Name(), Replay: &Replay{Window: caddy.Duration(time.Hour)}})
	first := new(spy)
	serve(h, newRecorder(), signed(delivery), first)
	change(anotherSecret + "\n")
	again := new(spy)
	serve(h, newRecorder(), signedBy(anotherSecret, "sha256", delivery), again)
	if first.calls != 1 || again.calls != 0 {
		t.Errorf("the app was asked %d times before and %d times after the change, want once in all", first.calls, again.calls)
	}
}

// A secret that is written in two parts is not taken for its first part, and neither is an
// empty file reported that is about to be written.
func TestHalfAFile(t *testing.T) {
	h, _ := inFile(t, new(Handler))
	synctest.Test(t, func(t *testing.T) {
		writes := func(text string) {
			if err := os.WriteFile(h.files.paths[0], []byte(text), 0o600); err != nil {
				t.Error(err)
			}
		}
		before := h.material()
		for _, part := range []string{"", anotherSecret[:20]} {
			writes(part)
			go func() {
				time.Sleep(1500 * time.Millisecond)
				writes(part + anotherSecret[:21])
			}()
			if h.notice(t.Context(), [sha256.Size]byte{}); h.material() != before || h.files.problem != nil {
				t.Fatalf("%q is taken, or reported: %v", part, h.files.problem)
			}
		}
		writes(anotherSecret)
		if h.notice(t.Context(), [sha256.Size]byte{}); h.material() == before {
			t.Errorf("the whole is not taken: %v", h.files.problem)
		}
	})
}

// Two gates may not come to share what they could not share at load.
func TestChangeThatMeetsAnotherGate(t *testing.T) {
	path := write(t, testSecret)
	ctx := emptyContext(t)
	h := &Handler{Name: "hooks", Secrets: []Secret{{Value: "{file." + path + "}"}}}
	oracle := &Handler{Name: "oracle", Preset: "x", Challenge: &Challenge{Kind: "x"}, Secrets: []Secret{{Value: anotherSecret}}}
	for _, gate := range []*Handler{h, oracle} {
		if err := gate.Provision(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{anotherSecret, "", "changeme"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := h.material()
		h.notice(t.Context(), h.files.read()) // and again at the next tick
		if h.notice(t.Context(), h.files.read()) != h.files.read() || h.files.problem == nil || h.material() != before {
			t.Errorf("%q: it is taken: %v", text, h.files.problem)
		}
		if h.files.problem != nil && text != "" && strings.Contains(h.files.problem.Error(), text) {
			t.Errorf("the error shows it: %v", h.files.problem)
		}
	}
	if h.files.failures != 3 {
		t.Errorf("%d failures are reported, want each once", h.files.failures)
	}
}

// Nothing runs before a configuration starts, nor after it has ended.
func TestFollowersEnd(t *testing.T) {
	h, _ := inFile(t, new(Handler))
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	for range 10 {
		go h.follow(ctx, time.Millisecond)
	}
	cancel()
	for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// A finding that was there before is not logged again.
func TestChangeWarns(t *testing.T) {
	h, change := inFile(t, &Handler{UnsafeObserveOnly: true})
	core, logs := observer.New(zap.InfoLevel)
	h.logger = zap.New(core)
	change("short-secret")
	if short, all := logs.FilterField(zap.String("kind", "key_short")).Len(), logs.Len(); short != 1 || all != 2 {
		t.Errorf("logged %v, want the change and its finding", logs.All())
	}
}

// Where nobody checks the files, no series says that the last check was long ago.
func TestChecksThatAreOff(t *testing.T) {
	h, _ := inFile(t, &Handler{Name: t.Name()})
	before := current
	defer func() { current = before }()
	current = h.app
	series := func() int {
		all := prometheus.NewRegistry()
		all.MustRegister(filesCollector{})
		families, err := all.Gather()
		if err != nil {
			t.Error(err)
		}
		return len(families)
	}
	if got := series(); got != 2 {
		t.Errorf("%d series, want loaded and checked", got)
	}
	h.app.WatchSecrets = new(caddy.Duration)
	if got := series(); got != 1 {
		t.Errorf("%d series with watch_secrets off: the alert for files that cannot be used fires for ever", got)
	}
}

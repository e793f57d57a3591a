package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// However a handler answers, the writer sees the status, once, and changes nothing.
func TestAnswerIsSeen(t *testing.T) {
	for name, tc := range map[string]struct {
		handler func(http.ResponseWriter)
		status  int
		body    string
	}{
		"nothing":     {func(http.ResponseWriter) {}, 0, ""},
		"WriteHeader": {func(w http.ResponseWriter) { w.WriteHeader(404) }, 404, ""},
		"twice":       {func(w http.ResponseWriter) { w.WriteHeader(202); w.WriteHeader(500) }, 202, ""},
		"Write":       {func(w http.ResponseWriter) { io.WriteString(w, "a") }, 200, "a"},
		"ReadFrom":    {func(w http.ResponseWriter) { io.Copy(w, bytes.NewBufferString("b")) }, 200, "b"},
		"Flush first": {func(w http.ResponseWriter) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
			io.WriteString(w, "c")
		}, 200, "c"},
		"103, then 200": {func(w http.ResponseWriter) { w.WriteHeader(103); w.WriteHeader(200) }, 200, ""},
		"103 alone":     {func(w http.ResponseWriter) { w.WriteHeader(103) }, 0, ""},
		"100, then 500": {func(w http.ResponseWriter) { w.WriteHeader(100); w.WriteHeader(500) }, 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var seen answer
			took := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				seen.watch(w, func() { took++ })
				tc.handler(&seen)
			}))
			defer server.Close()
			resp, err := http.Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if seen.status != tc.status || string(body) != tc.body || err != nil || tc.status != 0 && resp.StatusCode != tc.status {
				t.Errorf("saw %d, the client %d %q, %v; want %d %q", seen.status, resp.StatusCode, body, err, tc.status, tc.body)
			}
			if want := tc.status/100 == 2; (took == 1) != want || took > 1 {
				t.Errorf("took %d times", took)
			}
		})
	}
}

// A hijacked connection is no longer the gate's to write to.
func TestHijackIsSeen(t *testing.T) {
	h, _ := provisioned(t, &Handler{Name: t.Name()})
	handled := make(chan struct{}) // Close of a server does not wait for a hijacked connection
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(handled)
		_, err := serve(h, w, r, &spy{silent: true, answer: func(w http.ResponseWriter, _ *http.Request) error {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "HTTP/1.1 299 Mine\r\nContent-Length: 0\r\n\r\n")
			return err
		}})
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	r := signed("{}")
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", strings.TrimPrefix(server.URL, "http://")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 299 {
		t.Errorf("got %d", resp.StatusCode)
	}
	<-handled
	series := scrape(t, h.Name)
	if series["deliveries_total  accepted"] != 1 || series["deliveries_total no_app refused"] != 0 || series["app_answers_total none"] != 1 {
		t.Errorf("counted %v", series)
	}
}

// A file is still copied by the kernel where net/http can.
func TestReadFromReachesTheServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := &readerFrom{ResponseWriter: httptest.NewRecorder()}
	var seen answer
	seen.watch(w, func() {})
	if _, err := seen.ReadFrom(file); err != nil || w.got != io.Reader(file) {
		t.Errorf("the server got %T, %v", w.got, err)
	}
}

type readerFrom struct {
	http.ResponseWriter
	got io.Reader
}

func (w *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	w.got = r
	return 0, nil
}

// What becomes of a delivery behind the gate is counted once, told to the operator
// where it failed, and answered by the gate where nobody else did.
func TestAppAnswers(t *testing.T) {
	dial := errors.New("dial tcp: connection refused")
	for name, tc := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) error
		class  answerClass
		status int
		result string // of the deliveries
		panics bool
	}{
		"200":               {respond(200), class2xx, 200, "accepted", false},
		"301":               {respond(301), class3xx, 301, "accepted", false},
		"404":               {respond(404), class4xx, 404, "accepted", false},
		"500":               {respond(500), class5xx, 500, "accepted", false},
		"999":               {respond(999), noAnswer, 999, "accepted", false},
		"nothing":           {func(http.ResponseWriter, *http.Request) error { return nil }, noAnswer, 502, "refused", false},
		"103":               {respond(103), noAnswer, 502, "refused", false},
		"502 as an error":   {fails(caddyhttp.Error(502, dial)), class5xx, 502, "accepted", false},
		"404 as an error":   {fails(caddyhttp.Error(404, dial)), class4xx, 404, "accepted", false},
		"103 as an error":   {fails(caddyhttp.Error(103, dial)), class5xx, 500, "accepted", false},
		"1000 as an error":  {fails(caddyhttp.Error(1000, dial)), class5xx, 500, "accepted", false},
		"another error":     {fails(dial), class5xx, 500, "accepted", false},
		"504 of the app":    {fails(caddyhttp.Error(504, dial)), class5xx, 504, "accepted", false},
		"delivery_timeout":  {hangs, classTimeout, 504, "accepted", false},
		"panic before":      {func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }, noAnswer, 0, "accepted", true},
		"panic after a 200": {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(200); panic(http.ErrAbortHandler) }, noAnswer, 200, "accepted", true},
	} {
		for _, mode := range []string{answerRefusals, handleErrors} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				h, logs := provisioned(t, &Handler{Name: t.Name(), OnRefusal: mode, DeliveryTimeout: caddy.Duration(20 * time.Millisecond)})
				w := newRecorder()
				r := caddyhttp.PrepareRequest(signed("{}"), caddy.NewReplacer(), w, nil)
				err := func() (err error) {
					defer func() {
						if p := recover(); (p != nil) != tc.panics {
							t.Errorf("panics with %v", p)
						}
					}()
					return h.ServeHTTP(w, r, &spy{answer: tc.answer, silent: true})
				}()
				if mode == handleErrors && err != nil {
					w.Code = statusOf(err)
				}
				if !tc.panics && w.Code != tc.status {
					t.Errorf("answered %d, want %d", w.Code, tc.status)
				}
				series := scrape(t, h.Name)
				for _, class := range answerClasses {
					want := 0.0
					if class == tc.class {
						want = 1
					}
					if got := series["app_answers_total "+string(class)]; got != want {
						t.Errorf("%s is counted %v times", class, got)
					}
				}
				accepted := series["deliveries_total  accepted"]
				refused := series["deliveries_total no_app refused"]
				if want := tc.result; (accepted == 1) != (want == resultAccepted) || accepted+refused != 1 {
					t.Errorf("accepted %v, no_app %v", accepted, refused)
				}
				told := logs.FilterMessage("delivery failed").Len() + logs.FilterMessage("delivery refused").FilterField(zap.String("reason", "no_app")).Len()
				if fine := tc.class == class2xx || tc.class == class3xx; (told == 0) != fine || told > 1 {
					t.Errorf("told %d times", told)
				}
				if r.Header[lockField] == nil {
					t.Error("the request is not locked")
				}
			})
		}
	}
}

func respond(status int) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(status)
		return nil
	}
}

func fails(err error) func(http.ResponseWriter, *http.Request) error {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

// hangs is an app behind reverse_proxy that does not answer in time.
func hangs(_ http.ResponseWriter, r *http.Request) error {
	<-r.Context().Done()
	return caddyhttp.Error(http.StatusGatewayTimeout, context.DeadlineExceeded)
}

// The line of a delivery that ran into delivery_timeout names the option.
func TestFailureLine(t *testing.T) {
	h, logs := provisioned(t, &Handler{DeliveryTimeout: caddy.Duration(20 * time.Millisecond)})
	w := newRecorder()
	serve(h, w, signed("{}"), &spy{answer: hangs})
	line := logs.FilterMessage("delivery failed").All()[0].ContextMap()
	if line["delivery_timeout"] != 20*time.Millisecond || line["class"] != "timeout" || line["status"] != int64(504) ||
		line["id"] == "" || line["cause"] != context.DeadlineExceeded.Error() || w.Header().Get("Webhook-Auth-Error-Id") != "" {
		t.Errorf("logged %v", line)
	}
}

package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/history"
)

func init() { caddy.RegisterModule(Admin{}) }

// Admin shows the gates of the running configuration and the last deliveries on Caddy's
// admin API. It obeys the access rules of that API, and changes nothing.
//
//	GET /webhook_auth/gates
//	GET /webhook_auth/deliveries?gate=&verdict=&since=&limit=
//	GET /webhook_auth/deliveries?follow
//	GET /webhook_auth/deliveries/<id>
//	GET /webhook_auth/deliveries/<id>/captured
//	GET /webhook_auth/deliveries/<id>/judgement
type Admin struct{}

// It holds nothing of a configuration: Caddy replaces the admin API before it knows
// whether the new configuration loads, and one that did not would be shown.

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.webhook_auth", New: func() caddy.Module { return new(Admin) }}
}

// Routes implements caddy.AdminRouter.
func (Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: adminapi.Gates, Handler: caddy.AdminHandlerFunc(showGates)},
		{Pattern: adminapi.Deliveries, Handler: caddy.AdminHandlerFunc(showDeliveries)},
		{Pattern: adminapi.Deliveries + "/", Handler: caddy.AdminHandlerFunc(showDelivery)},
	}
}

func showGates(w http.ResponseWriter, r *http.Request) error {
	if err := onlyGet(r); err != nil {
		return err
	}
	currentMu.Lock()
	app := current
	currentMu.Unlock()
	gates, err := app.gateStates()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	}
	return writeJSON(w, gates)
}

func showDelivery(w http.ResponseWriter, r *http.Request) error {
	if err := onlyGet(r); err != nil {
		return err
	}
	id, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, adminapi.Deliveries+"/"), "/")
	switch what {
	case "":
	case adminapi.Captured, adminapi.Judgement:
		return showCapture(w, r, id, what)
	default:
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("there is no such path")}
	}
	e := past.Find(id)
	if e == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no delivery of this id is remembered; ids are in the log and in Webhook-Auth-Error-Id")}
	}
	return writeJSON(w, shown(e))
}

func showDeliveries(w http.ResponseWriter, r *http.Request) error {
	if err := onlyGet(r); err != nil {
		return err
	}
	filter, err := newFilter(r)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
	}
	if r.URL.Query().Has("follow") {
		return follow(w, r, filter)
	}
	deliveries := make([]adminapi.Delivery, 0)
	for _, e := range filter.last(past.All()) {
		deliveries = append(deliveries, shown(e))
	}
	return writeJSON(w, deliveries)
}

// onlyGet refuses what could be meant to change something.
func onlyGet(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("method not allowed; it only answers GET")}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(v)
}

// A filter is what the query asks for.
type filter struct {
	gate, verdict string
	since         string // an id
	after         time.Time
	limit         int // 0: all
}

func newFilter(r *http.Request) (f filter, err error) {
	query := r.URL.Query()
	f.gate, f.verdict, f.since = query.Get("gate"), query.Get("verdict"), query.Get("since")
	if t, err := time.Parse(time.RFC3339, f.since); err == nil {
		f.since, f.after = "", t
	}
	if limit := query.Get("limit"); limit != "" {
		if f.limit, err = strconv.Atoi(limit); err != nil || f.limit < 1 {
			return f, errors.New("limit is a number from 1")
		}
	}
	if f.verdict != "" && !slices.Contains(results, f.verdict) {
		return f, errors.New("verdict is one of " + strings.Join(results, ", "))
	}
	return f, nil
}

// results are the values of verdict.
var results = []string{resultAccepted, resultRefused, resultObserved, resultChallenge}

func (f *filter) wants(e *history.Entry) bool {
	return (f.gate == "" || f.gate == e.Gate) && (f.verdict == "" || f.verdict == e.Result) && (f.after.IsZero() || e.Time.After(f.after))
}

// last returns the wanted entries behind since, and of these the last. If the entry of
// since is not there any more, everything is newer.
func (f *filter) last(all []*history.Entry) []*history.Entry {
	if i := slices.IndexFunc(all, func(e *history.Entry) bool { return e.ID == f.since }); f.since != "" && i >= 0 {
		all = all[i+1:]
	}
	all = slices.DeleteFunc(slices.Clone(all), func(e *history.Entry) bool { return !f.wants(e) })
	if f.limit > 0 && f.limit < len(all) {
		all = all[len(all)-f.limit:]
	}
	return all
}

// writePatience is how long one write to a reader may take.
const writePatience = 5 * time.Second

// started is when the process began to remember.
var started = time.Now()

// follow writes one JSON object a line, until the reader leaves or the admin API is
// replaced, as at every reload: Caddy would wait ten seconds for the stream to end. The
// reader comes back with since.
func follow(w http.ResponseWriter, r *http.Request, f filter) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	endWith(r, cancel)
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // Caddy's ends the request after ten seconds
	w.Header().Set("Content-Type", "application/x-ndjson")
	entries, follower, leave := past.Follow()
	defer leave()
	lines := json.NewEncoder(w)
	_ = out.SetWriteDeadline(time.Now().Add(writePatience))
	err := lines.Encode(adminapi.Line{Hello: &adminapi.Hello{Process: started}})
	for _, e := range f.last(entries) {
		err = errors.Join(err, lines.Encode(shown(e)))
	}
	err = errors.Join(err, lines.Encode(adminapi.Line{Live: true}))
	for err == nil {
		// A reader that does not read must not outlive the server: Caddy waits ten seconds.
		_ = out.SetWriteDeadline(time.Now().Add(writePatience))
		if err = out.Flush(); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case e := <-follower.Entries:
			_ = out.SetWriteDeadline(time.Now().Add(writePatience))
			if f.wants(e) {
				err = lines.Encode(shown(e))
			}
		}
		if dropped := follower.Dropped(); dropped > 0 && err == nil {
			err = lines.Encode(adminapi.Line{Dropped: dropped})
		}
	}
	return nil // the reader has left
}

// shutdowns holds what to call when a server of the admin API shuts down.
var shutdowns struct {
	sync.Mutex
	of map[*http.Server]map[*context.CancelFunc]bool
}

// endWith calls cancel when the server of r shuts down, unless r ends before.
func endWith(r *http.Request, cancel context.CancelFunc) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return
	}
	shutdowns.Lock()
	defer shutdowns.Unlock()
	if shutdowns.of == nil {
		shutdowns.of = make(map[*http.Server]map[*context.CancelFunc]bool)
	}
	if shutdowns.of[server] == nil {
		shutdowns.of[server] = make(map[*context.CancelFunc]bool)
		server.RegisterOnShutdown(func() { endAll(server) })
	}
	mine := &cancel
	shutdowns.of[server][mine] = true
	context.AfterFunc(r.Context(), func() {
		shutdowns.Lock()
		defer shutdowns.Unlock()
		delete(shutdowns.of[server], mine)
	})
}

func endAll(server *http.Server) {
	shutdowns.Lock()
	defer shutdowns.Unlock()
	for cancel := range shutdowns.of[server] {
		(*cancel)()
	}
	delete(shutdowns.of, server)
}

// shown is an entry as the admin API shows it.
func shown(e *history.Entry) adminapi.Delivery {
	return adminapi.Delivery{
		ID: e.ID, Time: e.Time, Gate: e.Gate, Result: e.Result, Reason: e.Reason, Status: e.Status,
		Method: e.Method, Host: e.Host, Path: e.Path, ClientIP: e.Client, UserAgent: e.UserAgent, ContentType: e.ContentType,
		Size: e.Size, Key: e.Key, Tenant: e.Tenant,
		App: e.Answer, VerdictSeconds: e.Verdict.Seconds(), AnswerSeconds: e.Answered.Seconds(),
		Diagnosis: e.Diagnosis, Hint: e.Hint,
	}
}

// Interface guards
var _ caddy.AdminRouter = (*Admin)(nil)

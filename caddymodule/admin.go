package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"weak"

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
	return writeJSON(w, shown(r, e))
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
	all := past.All()
	from, _ := filter.start(all)
	for _, e := range filter.last(all, func(e *history.Entry) bool { return e.Recorded() > from }) {
		deliveries = append(deliveries, shown(r, e))
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
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Now().Add(writePatience)) // Caddy sets none
	if writeLine(w, v) == nil && out.Flush() == nil {       // otherwise the reader has left, or does not read
		_ = out.SetWriteDeadline(time.Time{}) // the connection goes on
	}
	return nil
}

// writeLine writes a line of JSON in ASCII: whoever asks with curl may have a terminal.
func writeLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(adminapi.ASCII(text), '\n'))
	return err
}

// A filter is what the query asks for.
type filter struct {
	gate, verdict string
	since         string       // an id
	after         history.Mark // if since was a time
	resumed       bool         // since was either
	limit         int          // 0: all
}

func newFilter(r *http.Request) (f filter, err error) {
	query := r.URL.Query()
	f.gate, f.verdict, f.since = query.Get("gate"), query.Get("verdict"), query.Get("since")
	f.resumed = f.since != ""
	if t, err := time.Parse(time.RFC3339, f.since); err == nil {
		f.since, f.after = "", history.MarkOf(t)
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
	return (f.gate == "" || f.gate == e.Gate) && (f.verdict == "" || f.verdict == e.Result)
}

// start returns the mark behind which the reader wants to go on. If the entry of since is
// not there any more, everything is behind it.
func (f *filter) start(all []*history.Entry) (from history.Mark, known bool) {
	if f.since == "" {
		return f.after, true
	}
	if i := slices.IndexFunc(all, func(e *history.Entry) bool { return e.ID == f.since }); i >= 0 {
		return all[i].Recorded(), true
	}
	return 0, false
}

// last returns the wanted entries that keep says, and of these the last.
func (f *filter) last(all []*history.Entry, keep func(*history.Entry) bool) (wanted []*history.Entry) {
	for _, e := range all {
		if f.wants(e) && keep(e) {
			wanted = append(wanted, e)
		}
	}
	if f.limit > 0 && f.limit < len(wanted) {
		wanted = wanted[len(wanted)-f.limit:]
	}
	return wanted
}

const ndjson = "application/x-ndjson"

// writePatience is how long one write to a reader may take.
const writePatience = 5 * time.Second

// started is when the process began to remember.
var started = time.Now()

// follow writes one JSON object a line, until the reader leaves or the admin API is
// replaced, as at every reload: Caddy would wait ten seconds for the stream to end. The
// reader comes back with since.
func follow(w http.ResponseWriter, r *http.Request, f filter) error {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", ndjson)
		return nil
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		defer context.AfterFunc(endOf(server), cancel)()
	}
	w.Header().Set("Content-Type", ndjson)
	s := &stream{filter: f, w: w, r: r, ctx: ctx, out: http.NewResponseController(w)}
	_ = s.out.SetReadDeadline(time.Time{})                    // Caddy's ends the request after ten seconds
	_ = s.out.SetWriteDeadline(time.Now().Add(writePatience)) // of the header section, if nothing else is written
	entries, follower, leave := past.Follow()
	if follower == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("too many follow already; end one of them")}
	}
	defer leave()
	s.past(entries, follower.Evicted)
	for s.err == nil {
		s.flush()
		select {
		case <-ctx.Done():
			return nil
		case e := <-follower.Entries:
			if f.wants(e) {
				s.delivery(e, e.Changed() > e.Recorded())
			}
		}
		if dropped := follower.Dropped(); dropped > 0 {
			s.send(adminapi.Line{Dropped: dropped})
		}
	}
	return nil // the reader has left
}

// A stream is what one reader follows.
type stream struct {
	filter
	w   http.ResponseWriter
	r   *http.Request
	ctx context.Context //nolint:containedctx // it is that of one call
	out *http.ResponseController
	err error
}

// past sends what is remembered and, to a reader who comes back, of what it has seen that
// of which more is known now.
func (s *stream) past(entries []*history.Entry, evicted history.Evicted) {
	s.send(adminapi.Line{Hello: &adminapi.Hello{Process: started}})
	from, known := s.start(entries)
	if s.resumed && (!known || evicted.After(from, s.gate, s.verdict)) {
		s.send(adminapi.Line{Lost: true})
	}
	for _, e := range s.last(entries, func(e *history.Entry) bool { return e.Changed() > from }) {
		s.delivery(e, e.Recorded() <= from)
	}
	s.send(adminapi.Line{Live: true})
}

func (s *stream) delivery(e *history.Entry, update bool) {
	d := shown(s.r, e)
	s.send(adminapi.Line{Delivery: &d, Update: update})
}

// send writes a line. A reader that does not read must not outlive the server: Caddy waits
// ten seconds.
func (s *stream) send(line adminapi.Line) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err == nil {
		_ = s.out.SetWriteDeadline(time.Now().Add(writePatience))
		s.err = writeLine(s.w, line)
	}
}

func (s *stream) flush() {
	if s.err == nil {
		_ = s.out.SetWriteDeadline(time.Now().Add(writePatience))
		s.err = s.out.Flush()
	}
}

// ends holds, for each server of the admin API, a context that ends with it. It keeps no
// server.
var ends struct {
	sync.Mutex
	of map[weak.Pointer[http.Server]]context.Context
}

// endOf returns a context that ends as soon as the server begins to shut down, also if it
// has begun already.
func endOf(server *http.Server) context.Context {
	ends.Lock()
	defer ends.Unlock()
	key := weak.Make(server)
	if end := ends.of[key]; end != nil {
		return end
	}
	end, cancel := context.WithCancel(context.Background())
	server.RegisterOnShutdown(cancel)
	if errors.Is(server.Serve(noListener{}), http.ErrServerClosed) { // net/http has no other way to ask
		cancel()
	}
	if ends.of == nil {
		ends.of = make(map[weak.Pointer[http.Server]]context.Context)
	}
	ends.of[key] = end
	runtime.AddCleanup(server, forget, key)
	return end
}

func forget(server weak.Pointer[http.Server]) {
	ends.Lock()
	defer ends.Unlock()
	delete(ends.of, server)
}

// noListener is a listener that accepts nothing.
type noListener struct{ net.Listener }

// Accept implements net.Listener.
func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }

// Close implements net.Listener.
func (noListener) Close() error { return nil }

// Addr implements net.Listener.
func (noListener) Addr() net.Addr { return new(net.TCPAddr) }

// shown is an entry as the admin API shows it. Who reads it over a network does not see
// whose request it was and where it went, unless the operator says so.
func shown(r *http.Request, e *history.Entry) adminapi.Delivery {
	d := adminapi.Delivery{
		ID: e.ID, Time: e.Time, Recorded: e.Recorded().Time(), Gate: e.Gate, Result: e.Result, Reason: e.Reason, Status: e.Status,
		Method: e.Method, Host: e.Host, Path: e.Path, ClientIP: e.Client, UserAgent: e.UserAgent, ContentType: e.ContentType,
		Size: e.Size, Key: e.Key, Tenant: e.Tenant,
		App: e.Answer, VerdictSeconds: e.Verdict.Seconds(), AnswerSeconds: e.Answered.Seconds(),
		Diagnosis: e.Diagnosis, Hint: e.Hint,
	}
	if !isLocal(r) && !showsDetails() {
		d.Path, d.ClientIP, d.Hidden = "", "", []string{"path", "client_ip"}
	}
	return d
}

// showsDetails asks the configuration that runs, which a stream may have begun before.
func showsDetails() bool {
	currentMu.Lock()
	defer currentMu.Unlock()
	return current.RemoteDetails
}

// Interface guards
var _ caddy.AdminRouter = (*Admin)(nil)

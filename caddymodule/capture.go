package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/history"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// Bounds of what `capture` keeps. A refused body may hold what a person has sent, and if
// it is the gate's secret that is wrong, it is a delivery that can be sent again.
const (
	captureLife = time.Hour
	captureBody = 64 << 10
)

// A captured is one refused request, as it came.
type captured struct {
	id       string
	at       time.Time
	delivery signature.Delivery
	target   string
	host     string
	body     []byte
	whole    bool
	reason   refusal.Reason
	tenant   string
	fields   []string // that the gate read
	counted  int64    // against the memory budget
	end      *time.Timer
}

// captures hold the last refused requests of a gate, the oldest first.
type captures struct {
	mu     sync.Mutex
	limits []int // of the configurations that have it; the largest counts
	held   []*captured
}

// captureOf keeps them across a reload, by the name of the gate, as long as any
// configuration has capture for it.
var captureOf = caddy.NewUsagePool()

// provisionCapture is called where the option is set.
func (h *Handler) provisionCapture() {
	if h.Capture == 0 {
		return
	}
	kept, _ := captureOf.LoadOrStore(h.Name, new(captures))
	h.captures = kept.(*captures)
	h.captures.limit(h.Capture)
}

func (h *Handler) closeCapture() {
	if h.captures != nil {
		h.captures.unlimit(h.Capture)
		_, _ = captureOf.Delete(h.Name) // Destruct does not fail
	}
}

// capture keeps a refused request, if there is memory for it.
func (h *Handler) capture(r *http.Request, a *attempt) {
	if h.captures == nil || a.reason.Status() != http.StatusUnauthorized || kindOf(a.reason) == history.Unsigned {
		return // what scanners send would push the rest out
	}
	c := &captured{id: a.id(), at: time.Now(), target: arrived(r).target, host: r.Host, delivery: h.copyOf(r), reason: a.reason, tenant: a.tenant, fields: h.scheme().Headers}
	var body bytes.Buffer
	if a.body.Size() <= captureBody {
		_, err := a.body.WriteTo(&body)
		c.whole = err == nil && a.whole
	}
	c.body = body.Bytes()
	c.counted = c.size()
	if budget.Memory.Take(c.counted) {
		h.captures.add(c)
	}
}

// What is taken beside the bytes of texts, rounded up: by the request, by a field in its
// map, and by a value in its list. Tiny fields are mostly that.
const (
	capturedFixed = 1 << 10
	capturedField = 192
	capturedValue = 48
)

// size is the memory that it takes.
func (c *captured) size() int64 {
	size := capturedFixed + cap(c.body) + len(c.target) + len(c.host)
	for name, values := range c.delivery.Header {
		size += capturedField + len(name)
		for _, value := range values {
			size += capturedValue + len(value)
		}
	}
	return int64(size)
}

func (s *captures) add(c *captured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.end = time.AfterFunc(captureLife, func() { s.drop(c) })
	s.held = append(s.held, c)
	s.shrink()
}

// limit and unlimit come and go with a configuration. One that does not load must not
// shrink what the running one keeps.
func (s *captures) limit(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = append(s.limits, limit)
}

func (s *captures) unlimit(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.limits, limit); i >= 0 {
		s.limits = slices.Delete(s.limits, i, i+1)
	}
	s.shrink()
}

// shrink gives up the oldest.
func (s *captures) shrink() {
	most := 0
	for _, limit := range s.limits {
		most = max(most, limit)
	}
	for len(s.held) > most {
		s.held[0].release()
		s.held = slices.Delete(s.held, 0, 1)
	}
}

func (s *captures) drop(c *captured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.held, c); i >= 0 {
		c.release()
		s.held = slices.Delete(s.held, i, i+1)
	}
}

func (c *captured) release() {
	c.end.Stop()
	budget.Memory.Give(c.counted)
}

// Destruct implements caddy.Destructor.
func (s *captures) Destruct() error { return nil } // unlimit has given up everything

func (s *captures) find(id string) *captured {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.held {
		if c.id == id {
			return c
		}
	}
	return nil
}

// findCapture returns a captured request and its gate, as it is configured now. Of gates of
// one name it is the one that reads the same fields.
func findCapture(id string) (found *Handler, c *captured) {
	currentMu.Lock()
	handlers := current.handlers
	currentMu.Unlock()
	for _, h := range handlers {
		if h.captures == nil {
			continue
		}
		if one := h.captures.find(id); one != nil && (found == nil || slices.Equal(one.fields, h.scheme().Headers)) {
			found, c = h, one
		}
	}
	return found, c
}

// showCapture answers for one captured request: the request itself, or what the gate
// makes of it now.
func showCapture(w http.ResponseWriter, r *http.Request, id, what string) error {
	if !isLocal(r) {
		return caddy.APIError{HTTPStatus: http.StatusForbidden, Err: errors.New("captured requests are shown on the loopback or a socket only, and this address of the admin API is neither")}
	}
	h, c := findCapture(id)
	if h == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no request of this id was captured; capture keeps the last refused ones of a gate, for an hour")}
	}
	if what == adminapi.Judgement {
		return writeJSON(w, h.judgeAgain(c))
	}
	return writeJSON(w, h.masked(c))
}

// isLocal reports whether the request came to an address that only this machine can
// reach. What Caddy's admin option says is not for a module to see, and where a request
// arrives cannot be mistaken.
func isLocal(r *http.Request) bool {
	switch address := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return address.IP.IsLoopback()
	}
	return false
}

// plainFields are the fields whose values are shown. Any other one may hold a signature, a
// token or a session, whatever its name is.
var plainFields = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Content-Encoding", "Content-Language", "Content-Length", "Content-Type", "Date", "User-Agent", "Via",
}

// mask leaves out what would let someone send a request again, or log in with it, and so
// what the gate reads, whatever its name is.
func mask(header http.Header, read []string) http.Header {
	header = header.Clone()
	for name, values := range header {
		if slices.Contains(plainFields, name) && !reads(read, name) {
			continue
		}
		for i := range values {
			values[i] = "(masked)"
		}
	}
	return header
}

// reads reports whether a field is one of those that a gate reads.
func reads(fields []string, name string) bool {
	return slices.ContainsFunc(fields, func(field string) bool { return strings.EqualFold(field, name) })
}

// withoutQuery leaves out the query, and the user of a target that is a whole URL, which may
// hold a token.
func withoutQuery(target string) string {
	path, _, has := strings.Cut(target, "?")
	if u, err := url.Parse(path); err != nil || u.User != nil {
		return "(masked)"
	}
	if has {
		return path + "?(masked)"
	}
	return path
}

func (h *Handler) masked(c *captured) adminapi.Capture {
	return adminapi.Capture{
		ID: c.id, Gate: h.Name, Time: c.at, Method: c.delivery.Method, Target: withoutQuery(c.target), Host: c.host,
		Header: mask(c.delivery.Header, c.fields), Body: c.body, Whole: c.whole,
	}
}

// judgeAgain judges the very bytes as the gate is now, as of the time when they came.
func (h *Handler) judgeAgain(c *captured) adminapi.Verdict {
	v := adminapi.Verdict{ID: c.id, Gate: h.Name, Time: c.at, Bytes: len(c.body), Whole: c.whole}
	delivery := c.delivery
	delivery.Now, delivery.URL = c.at, h.PublicURL
	m := h.materialOf(c.tenant)
	check, err := m.verifier.Begin(&delivery)
	var match signature.Match
	if err == nil && !c.whole {
		v.Reason, v.Hint = string(c.reason), "The header section is right. The body was not kept, because it was not read or is over 64 KiB, so that the signature cannot be judged."
		return v
	}
	if err == nil {
		_, _ = check.Write(c.body) // a MAC never fails
		match, err = check.End(bytesBody(c.body))
	}
	if err == nil && m.challenge != nil && m.challenge.Forgeable(c.body) {
		err = refusal.SignatureMismatch
	}
	if err == nil {
		v.Authentic, v.Secret, v.Algorithm = c.whole, match.Secret, match.Algorithm
		return v
	}
	reason := refusalOf(err)
	if h.tenants != nil && m == h.material() && reason == refusal.SignatureMismatch { // it is nobody's
		v.Reason, v.Hint = string(refusal.TenantUnknown), h.noTenant(c.tenant)
		return v
	}
	v.Reason = string(reason)
	found := m.gate.Inspect(&delivery, reason)
	if reason == refusal.SignatureMismatch && c.whole {
		found = m.gate.Diagnose(&delivery, c.body, h.app.gates())
	}
	v.Diagnosis, v.Hint = string(found.Diagnosis), found.Hint
	return v
}

// bytesBody is a body that can be written once for each secret.
type bytesBody []byte

// WriteTo implements io.WriterTo.
func (b bytesBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

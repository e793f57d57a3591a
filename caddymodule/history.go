package caddymodule

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/history"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// defaultHistory is how many deliveries are remembered.
const defaultHistory = 1000

// past is the history of the process. It goes on across reloads: what was refused before
// one is what the operator reloads for.
var past = history.New(defaultHistory)

// historyOption reads a count, or off.
func (a *App) historyOption(l options.Line) error {
	var text string
	if err := options.Text(&text)(l); err != nil {
		return err
	}
	count, err := strconv.Atoi(text)
	if text == "off" {
		count, err = 0, nil
	}
	if err != nil {
		return errWrongHistory
	}
	a.History = &count
	return a.checkHistory()
}

var errWrongHistory = mistake.In("history", "it takes the number of deliveries that are remembered, from 1 to %d, or off", history.MaxEntries)

func (a *App) checkHistory() error {
	if a.History != nil && (*a.History < 0 || *a.History > history.MaxEntries) {
		return errWrongHistory
	}
	return nil
}

func (a *App) remembered() int {
	if a.History == nil {
		return defaultHistory
	}
	return *a.History
}

// remember puts a request into the history.
func (h *Handler) remember(r *http.Request, a *attempt, class history.Class, e history.Entry) {
	e.ID, e.Time, e.Gate, e.Class = a.id(), a.began, h.Name, class
	e.Method, e.Host, e.Path, e.Client = r.Method, r.Host, arrived(r).path, clientOf(r)
	e.UserAgent, e.ContentType = h.shown(r.Header, "User-Agent"), h.shown(r.Header, "Content-Type")
	e.Size, e.Key, e.Tenant, e.Verdict = a.body.Size(), a.match.Secret, a.tenant, a.took
	e.Diagnosis, e.Hint = a.finding, a.hint
	past.Add(&e)
}

// shown returns the first value of a field whose name is in its canonical form. A gate can
// read its signature or token from any field, and then that is masked.
func (h *Handler) shown(header http.Header, name string) string {
	values := header[name]
	switch {
	case len(values) == 0:
		return ""
	case len(h.masks) > 0 && slices.Contains(h.masks, name):
		return "(masked)"
	}
	return values[0]
}

// maskedFields returns which of the fields that are shown the gate reads.
func (h *Handler) maskedFields() (masked []string) {
	for _, name := range []string{"User-Agent", "Content-Type"} {
		if reads(h.scheme().WithDefaults().Headers, name) {
			masked = append(masked, name)
		}
	}
	return masked
}

// rememberDelivery is for what the app was asked about.
func (h *Handler) rememberDelivery(r *http.Request, a *attempt, class answerClass) {
	if a.reason == refusal.NoApp { // it is refused, too
		return
	}
	result, kind := resultAccepted, history.Accepted
	if a.guard != "" && h.UnsafeObserveOnly {
		result = resultObserved
	}
	if class != class2xx && class != class3xx {
		kind = history.Failed
	}
	h.remember(r, a, kind, history.Entry{
		Result: result, Reason: string(a.guard), Status: a.answer.status, Answer: string(class), Answered: a.answer.duration(),
	})
}

func (h *Handler) rememberRefusal(r *http.Request, a *attempt, status int) {
	h.remember(r, a, kindOf(a.reason), history.Entry{Result: resultRefused, Reason: string(a.reason), Status: status})
}

func (h *Handler) rememberObserved(r *http.Request, a *attempt) {
	h.remember(r, a, kindOf(a.reason), history.Entry{Result: resultObserved, Reason: string(a.reason)})
}

// rememberCheck is for a sender's check that was answered.
func (h *Handler) rememberCheck(r *http.Request, a *attempt, status int) {
	if a.began.IsZero() {
		a.began = time.Now()
	}
	h.remember(r, a, history.Check, history.Entry{Result: resultChallenge, Status: cmp.Or(status, http.StatusOK)})
}

// kindOf keeps what a scanner sends apart from what a sender sends.
func kindOf(reason refusal.Reason) history.Class {
	switch reason {
	case refusal.MissingSignature, refusal.TokenMissing, refusal.EarlyData, refusal.Incremental, refusal.MethodNotAllowed:
		return history.Unsigned
	case refusal.NoApp:
		return history.Failed
	}
	return history.Refused
}

package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// An answerClass is what became of a delivery at the app: the label class.
type answerClass string

const (
	class2xx     answerClass = "2xx"
	class3xx     answerClass = "3xx"
	class4xx     answerClass = "4xx"
	class5xx     answerClass = "5xx"
	classTimeout answerClass = "timeout" // delivery_timeout ended it
	noAnswer     answerClass = "none"    // nothing was answered, or the answer broke off
)

var answerClasses = []answerClass{class2xx, class3xx, class4xx, class5xx, classTimeout, noAnswer}

func classOf(status int) answerClass {
	if status < 200 || status > 599 {
		return noAnswer
	}
	return answerClasses[status/100-2]
}

// statusOf returns the status that Caddy answers an error with, or 500 for one that is no
// answer: after an informational status net/http would add an empty 200.
func statusOf(err error) int {
	if he, ok := errors.AsType[caddyhttp.HandlerError](err); ok && he.StatusCode >= 200 && he.StatusCode <= 999 {
		return he.StatusCode
	}
	return http.StatusInternalServerError
}

// An answer is the response writer behind the gate. It sees what the app answers. A
// handler that returns without writing anything has lost the delivery, and net/http
// would turn that into an empty 200, so only what was written counts. Caddy's own mark
// for unhandled requests is not enough: reverse_proxy writes nothing and sets no mark
// when the app sends a 101 that nobody asked for.
type answer struct {
	caddyhttp.ResponseWriterWrapper
	status   int    // 0: none yet
	hijacked bool   // the connection is no longer the server's
	took     func() // called before a status of 2xx passes on
	since    time.Time
	after    time.Duration // from since to the status
}

// watch makes a the writer in front of w.
func (a *answer) watch(w http.ResponseWriter, took func()) {
	a.ResponseWriter, a.took, a.since = w, took, time.Now()
}

// silent reports whether nobody has answered.
func (a *answer) silent() bool { return a.status == 0 && !a.hijacked }

// class returns the class of the status that was written, or else of the error that next
// returned. It is a timeout only if ctx has ended: an app may answer 504 by itself.
func (a *answer) class(ctx context.Context, err error) answerClass {
	switch {
	case a.status != 0:
		return classOf(a.status)
	case err == nil:
		return noAnswer
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return classTimeout
	}
	return classOf(statusOf(err))
}

// duration is how long the app took to begin its answer, or to give none.
func (a *answer) duration() time.Duration {
	if a.status != 0 {
		return a.after
	}
	return time.Since(a.since)
}

// begin notes the first status that is not informational (RFC 9110, section 15.2).
func (a *answer) begin(status int) {
	if a.status != 0 || status < 200 {
		return
	}
	a.status, a.after = status, time.Since(a.since)
	if status/100 == 2 {
		a.took()
	}
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, by which net/http copies a file.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController looks for. A flush sends the header.
func (a *answer) FlushError() error {
	a.begin(http.StatusOK)
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Hijack is what http.ResponseController looks for. Without it, Unwrap would lead to the
// server's, and the gate would later write into the tunnel.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.hijacked = a.hijacked || err == nil
	return conn, rw, err
}

// Interface guards
var (
	_ http.ResponseWriter = (*answer)(nil)
	_ io.ReaderFrom       = (*answer)(nil)
	_ http.Hijacker       = (*answer)(nil)
)

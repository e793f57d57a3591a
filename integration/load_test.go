package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An errand is one delivery of a load. Its number determines everything about it, so that
// an app can check what reaches it.
type errand struct {
	number int
	kind   errandKind
	body   []byte
	choice int // among the ways of its kind
}

type errandKind int

const (
	honest  errandKind = iota // signed and sent to the end
	forged                    // 20 %
	aborted                   // 5 %: signed, and broken off
)

// ether holds random bytes from which all bodies are cut.
var ether = sync.OnceValue(func() []byte {
	block := make([]byte, 12<<20)
	rand.NewChaCha8([32]byte{}).Read(block)
	return block
})

// newErrand returns the errand with a number. Its body has up to 4 MiB; most are small.
func newErrand(number int) errand {
	r := rand.New(rand.NewPCG(uint64(number), 8))
	e := errand{number: number, choice: r.IntN(1 << 20)}
	switch kind := r.IntN(100); {
	case kind < 20:
		e.kind = forged
	case kind < 25:
		e.kind = aborted
	}
	var size int
	switch share := r.IntN(100); {
	case share < 10:
	case share < 60:
		size = r.IntN(4 << 10)
	case share < 85:
		size = r.IntN(128 << 10)
	case share < 97:
		size = r.IntN(1 << 20)
	default:
		size = r.IntN(4 << 20)
	}
	at := r.IntN(len(ether()) - size)
	e.body = ether()[at : at+size]
	return e
}

// forge spoils one thing in a delivery.
func (e errand) forge(secret string) (body []byte, fields []string) {
	signature := signedWith(secret, e.body)
	switch e.choice % 5 {
	case 0:
		return e.body, nil
	case 1:
		return e.body, []string{signedWith("not "+secret, e.body)}
	case 2:
		return e.body, []string{signature[:len(signature)-1] + flip(signature[len(signature)-1:])}
	case 3:
		return append(slices.Clone(e.body), 0), []string{signature}
	}
	return e.body, []string{signature, signature}
}

// A ledger is an app that knows every errand by its number and keeps a line for each. It
// runs in the test's process and shares nothing with the gateway.
type ledger struct {
	t          *testing.T
	addr       string
	mayBreak   bool // a body may end early, as after kill -9
	mu         sync.Mutex
	lines      []line
	complaints []string
}

// A line says how often an errand reached the app, and what its sender got.
type line struct {
	got    uint8
	answer uint16 // the status; 0: none
}

func startLedger(t *testing.T) *ledger {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{t: t, addr: listener.Addr().String()}
	server := &http.Server{Handler: l}
	go server.Serve(listener)
	t.Cleanup(func() {
		server.Close()
		for i, complaint := range l.complaints {
			if t.Error(complaint); i > 20 {
				break
			}
		}
	})
	return l
}

func (l *ledger) app() *app { return &app{addr: l.addr} }

// line returns the line of an errand. l.mu is held.
func (l *ledger) line(number int) *line {
	for len(l.lines) <= number {
		l.lines = append(l.lines, make([]line, 1024)...)
	}
	return &l.lines[number]
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.Header.Get(idField))
	e := newErrand(max(number, 0))
	body, readErr := io.ReadAll(r.Body)
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.line(e.number)
	of.got++
	switch {
	case err != nil:
		l.complain("something without a number reached the app: %v", r.Header)
	case e.kind != honest:
		l.complain("errand %d reached the app, which is of kind %d, with %d bytes of %d, %v", number, e.kind, len(body), len(e.body), readErr)
	case readErr != nil && !l.mayBreak:
		l.complain("errand %d broke off: %v", number, readErr)
	case readErr == nil && len(body) != len(e.body), !bytes.HasPrefix(e.body, body):
		l.complain("errand %d reached the app with other bytes: %d of %d", number, len(body), len(e.body))
	case of.got > 1:
		l.complain("errand %d reached the app %d times", number, of.got)
	}
	fmt.Fprintf(w, "the app got %d bytes", len(body))
}

func (l *ledger) complain(format string, args ...any) {
	l.complaints = append(l.complaints, fmt.Sprintf(format, args...))
}

// answered records what a sender got, and complains if it is wrong.
func (l *ledger) answered(e errand, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.line(e.number)
	of.answer = uint16(status)
	switch {
	case e.kind == honest && status != http.StatusOK:
		l.complain("errand %d is authentic and was answered %d", e.number, status)
	case e.kind == honest && of.got != 1:
		l.complain("errand %d was answered 200 and reached the app %d times", e.number, of.got)
	case e.kind == forged && status != http.StatusUnauthorized:
		l.complain("errand %d is forged and was answered %d", e.number, status)
	}
}

// count returns how many errands the app got, and how many answers senders got.
func (l *ledger) count() (got, answers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, of := range l.lines {
		got += min(int(of.got), 1)
		answers += min(int(of.answer), 1)
	}
	return got, answers
}

// grow waits until that many more errands have reached the app, or a complaint has failed the
// test.
func (l *ledger) grow(more int) {
	before, _ := l.count()
	await(l.t, fmt.Sprintf("%d more errands at the app", more), func() (any, bool) {
		got, _ := l.count()
		l.mu.Lock()
		defer l.mu.Unlock()
		return got - before, got >= before+more || len(l.complaints) > 0
	})
}

// A load is many senders that send at once.
type load struct {
	*ledger
	gateway string
	secret  func() string // what senders use now
	lost    atomic.Int64  // honest errands without an answer
	onLost  func(e errand, err error)
	next    atomic.Int64
	stopped chan struct{}
	senders sync.WaitGroup
	guard   sync.RWMutex // held for reading while a secret is in use
}

// startLoad lets senders send errands until stop. Every other sender keeps its
// connections.
func startLoad(l *ledger, gateway string, senders int, secret func() string, onLost func(errand, error)) *load {
	ld := &load{ledger: l, gateway: gateway, secret: secret, onLost: onLost, stopped: make(chan struct{})}
	l.mu.Lock()
	ld.next.Store(int64(len(l.lines))) // after those of an earlier load
	l.mu.Unlock()
	for i := range senders {
		client := newClient(&http.Transport{DisableKeepAlives: i%2 == 0})
		ld.senders.Go(func() {
			defer client.CloseIdleConnections()
			for !ld.isStopped() {
				ld.send(client, newErrand(int(ld.next.Add(1))))
			}
		})
	}
	return ld
}

func (ld *load) isStopped() bool {
	select {
	case <-ld.stopped:
		return true
	default:
		return false
	}
}

// stop returns when all senders have ended.
func (ld *load) stop() { close(ld.stopped); ld.senders.Wait() }

func (ld *load) send(client *http.Client, e errand) {
	ld.guard.RLock()
	defer ld.guard.RUnlock()
	if e.kind == aborted {
		ld.abort(e)
		return
	}
	body, fields := e.body, []string{signedWith(ld.secret(), e.body)}
	if e.kind == forged {
		body, fields = e.forge(ld.secret())
	}
	d := delivery{id: strconv.Itoa(e.number), method: http.MethodPost, target: "/webhook", fields: fields, body: body}
	status, err := ld.exchange(client, d)
	switch {
	case err == nil:
		ld.answered(e, status)
	case errors.Is(err, os.ErrDeadlineExceeded):
		ld.mu.Lock()
		ld.complain("errand %d has no answer: %v", e.number, err)
		ld.mu.Unlock()
	case e.kind == honest:
		ld.lost.Add(1)
		ld.onLost(e, err)
	}
}

// exchange retries only if nothing listened.
func (ld *load) exchange(client *http.Client, d delivery) (status int, err error) {
	for range 50 {
		r, err := http.NewRequest(d.method, "http://"+ld.gateway+d.target, io.NopCloser(bytes.NewReader(d.body)))
		if err != nil {
			return 0, err
		}
		r.ContentLength = int64(len(d.body))
		if len(d.body) == 0 {
			r.Body = nil
		}
		r.Header = d.header()
		resp, err := client.Do(r)
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" && !ld.isStopped() {
			time.Sleep(20 * time.Millisecond) // as a sender pauses
			continue
		}
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	return 0, errors.New("nothing listened")
}

// abort breaks off a delivery by a reset, a close or a half-close.
func (ld *load) abort(e errand) {
	d := post(string(e.body), signedWith(ld.secret(), e.body))
	d.id = strconv.Itoa(e.number)
	if len(e.body) == 0 {
		d.body = []byte("x") // a length without a body
	}
	wire := d.wire()
	c, err := dial(ld.gateway)
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(c, wire[:e.choice%len(wire)])
	switch e.choice % 3 {
	case 0:
		c.SetLinger(0)
	case 1:
		c.CloseWrite()
		io.Copy(io.Discard, c)
	}
}

// header is the header section of d for an HTTP client.
func (d delivery) header() http.Header {
	fields := http.Header{idField: {d.id}}
	for _, field := range d.fields {
		name, value, _ := bytes.Cut([]byte(field), []byte(": "))
		fields.Add(string(name), string(value))
	}
	return fields
}

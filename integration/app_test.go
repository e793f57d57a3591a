package integration_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// appVariable, when set, makes the test binary the app instead of the tests. It is
// a separate process, so that it shares only the network with the tests.
const appVariable = "WEBHOOK_AUTH_TEST_APP"

// What a delivery may ask of the app, in the field X-App.
const (
	appSlow = "slow" // reads for about a second
	appHang = "hang" // never answers
	appDrop = "drop" // hangs up instead of answering
)

// A request is what reached the app.
type request struct {
	Method, URI      string
	Header           http.Header
	Trailer          http.Header
	TransferEncoding []string
	ContentLength    int64
	Body             []byte
	Problem          string // why it is not a complete request
	Raw              []byte // the bytes on the wire
}

// An app is behind the gateway and records what reaches it.
type app struct {
	addr    string
	control string

	mu       sync.Mutex
	expected map[string]bool // ids of the deliveries that may reach it
}

// startApp runs an app until the test ends. Start it before its gateway, so that the
// gateway is gone when the app looks back at everything it got.
func startApp(t *testing.T) *app {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), appVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); end(t, cmd) })
	a := &app{expected: make(map[string]bool)}
	late := time.AfterFunc(patience, func() { abort(cmd.Process) }) // ends its output, with the stacks
	defer late.Stop()
	if _, err := fmt.Fscan(stdout, &a.addr, &a.control); err != nil {
		t.Fatalf("starting the app: %v", err)
	}
	t.Cleanup(func() { a.lookBack(t) })
	return a
}

// lookBack fails the test if anything came that the test did not expect, even after the
// gateway's answer.
func (a *app) lookBack(t *testing.T) {
	var unwanted []request
	for _, r := range a.ask(t, url.Values{"all": {"yes"}}) {
		if !a.expected[r.Header.Get(idField)] {
			unwanted = append(unwanted, r)
		}
	}
	if len(unwanted) > 0 {
		t.Errorf("what was refused reached the app: %s", summary(unwanted))
	}
}

// got returns every request of a delivery that reached the app, and everything that
// belongs to no delivery. It waits until there are that many.
func (a *app) got(t *testing.T, id string, atLeast int) []request {
	t.Helper()
	return a.ask(t, url.Values{"id": {id}, "at_least": {fmt.Sprint(atLeast)}})
}

// begun waits until the app has begun to receive a delivery.
func (a *app) begun(t *testing.T, id string) {
	t.Helper()
	a.ask(t, url.Values{"begun": {id}})
}

// askApps waits as long as an app that waits for a delivery and looks back.
var askApps = newClient(&http.Transport{DisableKeepAlives: true})

func (a *app) ask(t *testing.T, query url.Values) []request {
	t.Helper()
	resp, err := askApps.Get("http://" + a.control + "/?" + query.Encode())
	if err != nil {
		t.Fatalf("asking the app what it got: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("the app: %s", text)
	}
	var requests []request
	if err := gob.NewDecoder(resp.Body).Decode(&requests); err != nil {
		t.Fatal(err)
	}
	return requests
}

// once returns the request of a delivery, which must have reached the app exactly once.
func (a *app) once(t *testing.T, id string) request {
	t.Helper()
	a.expect(id)
	requests := a.got(t, id, 1)
	if len(requests) != 1 {
		t.Fatalf("the app got the delivery %d times, want once: %s", len(requests), summary(requests))
	}
	return requests[0]
}

// expect allows a delivery to reach the app.
func (a *app) expect(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expected[id] = true
}

// nothing fails the test if a delivery has reached the app. lookBack finds one that is
// still on its way.
func (a *app) nothing(t *testing.T, id string) {
	t.Helper()
	if requests := a.got(t, id, 0); len(requests) > 0 {
		t.Errorf("the app got what was refused: %s", summary(requests))
	}
}

func summary(requests []request) string {
	var b bytes.Buffer
	for _, r := range requests {
		fmt.Fprintf(&b, "\n%s %s, %d bytes of body, problem %q, on the wire %.600q", r.Method, r.URI, len(r.Body), r.Problem, r.Raw)
	}
	return b.String()
}

// runApp is the app process. It ends when the tests do, however they end.
func runApp() {
	public, control := listen(), listen()
	rec := &recorder{addr: public.Addr().String(), begun: make(map[string]bool), open: make(map[string]bool), grown: make(chan struct{})}
	go http.Serve(control, http.HandlerFunc(rec.query))
	server := &http.Server{
		Handler:     rec,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, tapKey{}, c) },
	}
	go server.Serve(tapListener{public, rec})
	fmt.Println(public.Addr(), control.Addr())
	io.Copy(io.Discard, os.Stdin)
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return l
}

// A recorder remembers what reached the app.
type recorder struct {
	addr     string
	mu       sync.Mutex
	requests []request
	begun    map[string]bool // ids of deliveries
	open     map[string]bool // connections, by the other side's address
	grown    chan struct{}   // closed, and another one made, with each change
}

func (rec *recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec.change(func() { rec.begun[r.Header.Get(idField)] = true })
	var problem string
	body, err := readBody(r)
	if err != nil {
		problem = err.Error()
	}
	rec.add(request{
		Method: r.Method, URI: r.RequestURI, Header: r.Header, Trailer: r.Trailer,
		TransferEncoding: r.TransferEncoding, ContentLength: r.ContentLength,
		Body: body, Problem: problem, Raw: r.Context().Value(tapKey{}).(*tap).take(),
	})
	switch {
	case r.Header.Get("Upgrade") != "":
		rec.tunnel(w)
	case r.Header.Get("X-App") == appHang:
		<-r.Context().Done()
	case r.Header.Get("X-App") == appDrop:
		panic(http.ErrAbortHandler)
	default:
		fmt.Fprintf(w, "the app got %d bytes", len(body))
	}
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("X-App") != appSlow {
		return io.ReadAll(r.Body)
	}
	var body bytes.Buffer
	for {
		_, err := io.CopyN(&body, r.Body, 256<<10)
		if errors.Is(err, io.EOF) {
			return body.Bytes(), nil
		}
		if err != nil {
			return body.Bytes(), err
		}
		time.Sleep(15 * time.Millisecond)
	}
}

// tunnel does what an app with WebSockets does with an Upgrade. From here on, no gateway
// sees the traffic.
func (rec *recorder) tunnel(w http.ResponseWriter) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	said, _ := io.ReadAll(buffered)
	rec.add(request{Method: "TUNNEL", Problem: "bytes in a tunnel", Raw: said})
}

func (rec *recorder) add(r request) {
	rec.change(func() { rec.requests = append(rec.requests, r) })
}

func (rec *recorder) change(do func()) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	do()
	close(rec.grown)
	rec.grown = make(chan struct{})
}

// until waits until a state is reached, which it checks under the lock, and reports
// whether it was.
func (rec *recorder) until(state func() bool) bool {
	for timeout := time.After(patience); ; {
		rec.mu.Lock()
		reached, grown := state(), rec.grown
		rec.mu.Unlock()
		if reached {
			return true
		}
		select {
		case <-grown:
		case <-timeout:
			return false
		}
	}
}

func (rec *recorder) find(id string) (found []request) {
	for _, r := range rec.requests {
		if of := r.Header.Get(idField); of == id || of == "" {
			found = append(found, r)
		}
	}
	return found
}

// query answers the tests, on a port that the gateway does not know.
func (rec *recorder) query(w http.ResponseWriter, r *http.Request) {
	var atLeast int
	fmt.Sscan(r.FormValue("at_least"), &atLeast)
	var found []request
	var problem string
	switch {
	case r.FormValue("all") != "":
		problem = rec.settle()
		rec.until(func() bool { found = heads(rec.requests); return true })
	case r.FormValue("begun") != "":
		if !rec.until(func() bool { return rec.begun[r.FormValue("begun")] }) {
			problem = "waiting for the beginning of the delivery: nothing came"
		}
	default:
		rec.until(func() bool { found = rec.find(r.FormValue("id")); return len(found) >= atLeast })
	}
	if problem != "" {
		http.Error(w, problem, http.StatusGatewayTimeout)
		return
	}
	gob.NewEncoder(w).Encode(found)
}

// heads returns the requests without their bodies and raw bytes.
func heads(requests []request) []request {
	short := slices.Clone(requests)
	for i := range short {
		short[i].Body, short[i].Raw = nil, short[i].Raw[:min(len(short[i].Raw), 1000)]
	}
	return short
}

// settle waits until nothing is on its way any more: until everything that came before
// its own connection is accepted and the other sides are gone.
func (rec *recorder) settle() (problem string) {
	barrier, err := dial(rec.addr)
	if err != nil {
		return err.Error()
	}
	if !rec.until(func() bool { return rec.open[barrier.LocalAddr().String()] }) {
		return "waiting for a connection of its own: it was not accepted"
	}
	barrier.Close()
	if !rec.until(func() bool { return len(rec.open) == 0 }) {
		return fmt.Sprintf("waiting for the end of all connections: there are still %v", rec.open)
	}
	return ""
}

// A tapListener records the bytes of every connection, so that tests judge the framing
// by what was sent and not by what net/http made of it.
type tapListener struct {
	net.Listener
	rec *recorder
}

func (l tapListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.rec.change(func() { l.rec.open[conn.RemoteAddr().String()] = true })
	}
	return &tap{Conn: conn, rec: l.rec}, err
}

type tapKey struct{}

type tap struct {
	net.Conn
	rec  *recorder
	mu   sync.Mutex
	read []byte // since the last request
}

func (c *tap) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = append(c.read, p[:n]...)
	return n, err
}

func (c *tap) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.read
	c.read = nil
	return taken
}

// Close records what never became a request.
func (c *tap) Close() error {
	if left := c.take(); len(left) > 0 {
		c.rec.add(request{Problem: "bytes that are no request", Raw: left})
	}
	c.rec.change(func() { delete(c.rec.open, c.RemoteAddr().String()) })
	return c.Conn.Close()
}

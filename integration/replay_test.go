package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/integration/fleet"
	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// redisPassword must not be in any log, like a secret.
const redisPassword = "s3cret-of-the-store-behind-the-gateways"

// A redisServer is Debian's Redis on a port of its own.
type redisServer struct {
	t       *testing.T
	addr    string
	args    []string
	process *exec.Cmd
}

// durable makes Redis write every command to disk before it answers, so that a kill loses
// nothing that it has confirmed.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

func startRedis(t *testing.T, flags ...string) *redisServer {
	t.Helper()
	path := fleet.Binary(t)
	port := fmt.Sprint(tools.FreePort(t))
	r := &redisServer{t: t, addr: net.JoinHostPort("127.0.0.1", port), args: append([]string{
		path, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "", "--requirepass", redisPassword,
	}, flags...)}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func (r *redisServer) start() {
	r.process = exec.Command(r.args[0], r.args[1:]...)
	if err := r.process.Start(); err != nil {
		r.t.Error(err)
	}
	why, listens := tries(patience, func() (any, bool) {
		c, err := dial(r.addr)
		if err == nil {
			c.Close()
		}
		return err, err == nil
	})
	if !listens {
		r.t.Errorf("Redis does not listen: %v", why)
	}
}

func (r *redisServer) kill() {
	r.process.Process.Kill() // ends a process that was stopped too
	end(r.t, r.process)
}

func (r *redisServer) pause(d time.Duration) {
	if err := freeze(r.process.Process); err != nil {
		r.t.Errorf("Redis cannot be stopped: %v", err)
	}
	time.Sleep(d)
	thaw(r.process.Process)
}

// guard is the option replay with this server. A claim that is lost on its way ends soon.
func (r *redisServer) guard(options ...string) []string {
	return append([]string{
		"delivery_timeout 2s", "replay 1h {", "store redis {", "address " + r.addr, "password {env.REDIS_PASSWORD}", "}",
	}, append(options, "}")...)
}

// start starts a gateway with the guard in front of a tally.
func (l *tally) gateway(t *testing.T, options ...string) *gateway {
	t.Helper()
	g := startGateway(t, canonical(&app{addr: l.addr}, options...), "REDIS_PASSWORD="+redisPassword)
	t.Cleanup(func() {
		if strings.Contains(g.log.String(), redisPassword) {
			t.Errorf("the log contains the password of the store:\n%s", g.log)
		}
	})
	return g
}

// A tally is an app that counts how often it accepted each delivery with 2xx. It
// identifies a delivery by its body, because only that is signed.
type tally struct {
	addr  string
	fails float64 // the share that it does not accept

	mu    sync.Mutex
	took  map[string]int
	tried int
}

func startTally(t *testing.T, fails float64) *tally {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &tally{addr: listener.Addr().String(), fails: fails, took: make(map[string]int)}
	server := &http.Server{Handler: l}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return l
}

func (l *tally) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fails := err != nil || rand.Float64() < l.fails
	l.mu.Lock()
	l.tried++
	if !fails {
		l.took[string(body)]++
	}
	l.mu.Unlock()
	if !fails {
		fmt.Fprint(w, "taken")
		return
	}
	switch rand.IntN(4) {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	case 2:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// once fails the test unless the app accepted each delivery exactly once.
func (l *tally) once(t *testing.T, deliveries int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	wrong := 0
	for n := range deliveries {
		if took := l.took[numbered(n)]; took != 1 {
			if wrong++; wrong <= 10 {
				t.Errorf("the app accepted delivery %d %d times", n, took)
			}
		}
	}
	if wrong > 0 || len(l.took) != deliveries {
		t.Errorf("%d of %d deliveries were not accepted exactly once; the app knows %d", wrong, deliveries, len(l.took))
	}
}

func numbered(n int) string { return fmt.Sprintf(`{"delivery":%d}`, n) }

// A crowd is many senders that repeat a delivery until it is answered with 2xx.
type crowd struct {
	t        *testing.T
	path     string
	client   *http.Client
	answered [600]atomic.Int64 // by status
}

func newCrowd(t *testing.T) *crowd {
	transport := &http.Transport{MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	client := newClient(transport)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &crowd{t: t, path: "/webhook", client: client}
}

// deliver sends one delivery until it is answered with 2xx.
func (s *crowd) deliver(g *gateway, body string) {
	var last any = "no answer"
	for start := time.Now(); time.Since(start) < 3*patience && !s.t.Failed(); time.Sleep(rand.N(20 * time.Millisecond)) {
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+g.addr+s.path, bytes.NewReader([]byte(body)))
		if err != nil {
			s.t.Error(err)
			return
		}
		_, signature, _ := strings.Cut(signed([]byte(body)), ": ")
		r.Header.Set("X-Hub-Signature", signature)
		resp, err := s.client.Do(r)
		if err != nil {
			last = err
			continue // a reload may close the connection
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		s.answered[resp.StatusCode].Add(1)
		last = resp.Status
		if resp.StatusCode/100 == 2 {
			return
		}
	}
	s.t.Errorf("%s is not answered with 2xx: %v", body, last)
}

// all sends the deliveries, each one through all gateways at once.
func (s *crowd) all(deliveries int, gateways ...*gateway) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for n := range next {
				var copies sync.WaitGroup
				for _, g := range gateways {
					copies.Go(func() { s.deliver(g, numbered(n)) })
				}
				copies.Wait()
			}
		})
	}
	for n := range deliveries {
		next <- n
	}
	close(next)
	workers.Wait()
}

// TestReplayTwoGateways: ten thousand deliveries, each three times at once through
// two gateways that share a Redis, reach the app once.
func TestReplayTwoGateways(t *testing.T) {
	t.Parallel()
	const deliveries = 10_000
	l, redis := startTally(t, 0), startRedis(t)
	guard := redis.guard()
	one, two := l.gateway(t, guard...), l.gateway(t, guard...)
	s := newCrowd(t)
	s.all(deliveries, one, two, one)
	l.once(t, deliveries)
	if l.tried != deliveries || s.answered[200].Load() != 3*deliveries {
		t.Errorf("%d reached the app, %d were answered with 200", l.tried, s.answered[200].Load())
	}
	t.Logf("%d answers of 409, %d of 503", s.answered[409].Load(), s.answered[503].Load())
}

// TestReplayFailingApp: an app that accepts every other delivery, and otherwise hangs up,
// redirects or fails, gets each delivery until it accepts it, and not again.
func TestReplayFailingApp(t *testing.T) {
	t.Parallel()
	const deliveries = 500
	l, redis := startTally(t, 0.5), startRedis(t)
	guard := redis.guard()
	one, two := l.gateway(t, guard...), l.gateway(t, guard...)
	newCrowd(t).all(deliveries, one, two)
	l.once(t, deliveries)
	if l.tried < deliveries*3/2 {
		t.Errorf("only %d attempts reached the app", l.tried)
	}

	l = startTally(t, 0.5)
	memory := l.gateway(t, "replay 1h")
	newCrowd(t).all(deliveries, memory, memory)
	l.once(t, deliveries)
}

// TestReplayRedisFails: Redis hangs, is killed and comes back while deliveries arrive. No
// delivery is lost or accepted twice, and the gateways need no reload.
func TestReplayRedisFails(t *testing.T) {
	t.Parallel()
	const deliveries = 2000
	l, redis := startTally(t, 0.1), startRedis(t, durable...)
	guard := redis.guard()
	one, two := l.gateway(t, guard...), l.gateway(t, guard...)
	s := newCrowd(t)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for range 2 {
			time.Sleep(200 * time.Millisecond)
			redis.pause(time.Second)
			time.Sleep(200 * time.Millisecond)
			redis.kill()
			time.Sleep(time.Second)
			redis.start()
		}
	}()
	for round := 0; ; round++ { // until the trouble is over
		s.all(deliveries, one, two)
		select {
		case <-over:
			s.all(deliveries, one, two)
			l.once(t, deliveries)
			if s.answered[503].Load() == 0 {
				t.Error("Redis was away, and nothing was refused")
			}
			t.Logf("%d rounds, %d answers of 409, %d of 503", round+2, s.answered[409].Load(), s.answered[503].Load())
			one.log.wait(t, "the end of the trouble", message("the redis store is back"))
			return
		default:
		}
	}
}

// TestReplayReload: the gate remembers deliveries across reloads, and reloads neither lose
// nor repeat a delivery under way.
func TestReplayReload(t *testing.T) {
	t.Parallel()
	for store, guard := range map[string][]string{"memory": {"replay 1h"}, "redis": startRedis(t).guard()} {
		t.Run(store, func(t *testing.T) {
			const deliveries = 1500
			l := startTally(t, 0.1)
			g := l.gateway(t, guard...)
			over := make(chan struct{})
			go func() {
				defer close(over)
				for range 4 {
					if output, ok := g.reload(t, "--force"); !ok {
						t.Errorf("caddy reload: %s", output)
					}
				}
			}()
			s := newCrowd(t)
			s.all(deliveries, g, g)
			<-over // each reload is a command, which has a time limit
			s.all(deliveries, g)
			l.once(t, deliveries)
		})
	}
}

// TestReplayFullMemory: a full memory store forgets the oldest delivery first, and counts
// it.
func TestReplayFullMemory(t *testing.T) {
	t.Parallel()
	l := startTally(t, 0)
	g := l.gateway(t, "replay 1h {", "store memory {", "max_entries 10", "}", "}")
	s := newCrowd(t)
	for n := range 20 {
		s.deliver(g, numbered(n))
	}
	if evicted := g.metrics(t)["replay_evictions_total"]; evicted != 10 {
		t.Errorf("%v deliveries were forgotten, want 10", evicted)
	}
	for n := 10; n < 20; n++ {
		s.deliver(g, numbered(n))
	}
	l.once(t, 20)
	s.deliver(g, numbered(0))
	if took := l.took[numbered(0)]; took != 2 {
		t.Errorf("the oldest delivery was accepted %d times", took)
	}
}

// TestReplayAnswers: a repetition is answered and logged, also while the first delivery is
// in flight and after its sender hung up.
func TestReplayAnswers(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "name shop", "replay 1h"))
	g.accepts(t, a, authentic(chatBotKit))
	again := authentic(chatBotKit)
	if resp := g.deliver(t, again); resp.status != 200 || resp.body != "" {
		t.Errorf("a repetition gets %d %q", resp.status, resp.body)
	}
	a.nothing(t, again.id)
	line := g.log.wait(t, "the repetition", reason("duplicate"))
	if _, ok := line["first"].(float64); !ok || line.text("name") != "shop" {
		t.Errorf("logged %v", line)
	}

	slow := authentic(strings.Repeat("x", 5_000_000), "X-App: "+appSlow)
	c := g.dial(t)
	c.send(slow.wire())
	a.begun(t, slow.id)
	c.Close() // an impatient sender
	early := authentic(string(slow.body))
	if resp := g.deliver(t, early); resp.status != 409 || resp.header.Get("Retry-After") == "" {
		t.Errorf("a repetition in flight gets %d %v", resp.status, resp.header)
	}
	a.nothing(t, early.id)
	delivered(t, a, slow)
	await(t, "an answer that is not 409", func() (any, bool) {
		late := authentic(string(slow.body))
		resp := g.deliver(t, late)
		a.nothing(t, late.id)
		if resp.status != 409 && (resp.status != 200 || resp.body != "") {
			t.Fatalf("a repetition gets %d %q", resp.status, resp.body)
		}
		return resp.status, resp.status != 409
	})
	compare(t, g.metrics(t), map[string]float64{
		`deliveries_total{name="shop",reason="duplicate",result="refused"}`: 2,
		`deliveries_total{name="shop",reason="",result="accepted"}`:         2,
	})
}

// TestReplayPass: on_duplicate pass lets a repetition through and tells the app, and
// on_error pass works without the store.
func TestReplayPass(t *testing.T) {
	t.Parallel()
	g := startGateway(t, `:{$PORT} {
	webhook_auth {
		secret {env.WEBHOOK_SECRET}
		replay 1h {
			on_duplicate pass
		}
	}
	respond "duplicate {http.webhook_auth.duplicate}, verified {http.webhook_auth.verified}"
}
`)
	for _, want := range []string{"false", "true", "true"} {
		if resp := g.deliver(t, authentic(chatBotKit)); resp.body != "duplicate "+want+", verified true" {
			t.Errorf("answer %q, want %s", resp.body, want)
		}
	}
	a := startApp(t)
	nowhere := &redisServer{addr: fmt.Sprintf("127.0.0.1:%d", tools.FreePort(t))}
	g = startGateway(t, canonical(a, nowhere.guard("on_error pass")...), "REDIS_PASSWORD="+redisPassword)
	for n := range 5 {
		g.accepts(t, a, authentic(numbered(n)))
	}
	again := authentic(numbered(0)) // the gateway itself knows that the app accepted it
	if resp := g.deliver(t, again); resp.status != 200 || resp.header.Get("Webhook-Auth-Duplicate") != "true" {
		t.Errorf("a repetition gets %d %v", resp.status, resp.header)
	}
	a.nothing(t, again.id)
	g = startGateway(t, canonical(a, nowhere.guard()...), "REDIS_PASSWORD="+redisPassword)
	d := authentic(chatBotKit)
	if resp := g.deliver(t, d); resp.status != 503 || resp.header.Get("Retry-After") == "" {
		t.Errorf("without the store a delivery gets %d %v", resp.status, resp.header)
	}
	a.nothing(t, d.id)
}

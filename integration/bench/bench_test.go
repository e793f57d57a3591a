package main

import (
	"bufio"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// People rely on the numbers of a benchmark, so the code that computes them is tested.

// Plain costs 1 ms for each delivery, and the gateway adds 1 ms. An HMAC takes 0.5 ms, so
// the bound is 2/3. One round in which the machine had other work changes nothing.
func sample() *comparison {
	c := &comparison{Name: "1 MiB", Hash: 0.0005}
	for i := range 9 {
		slow := 1 + 9*(i/8)
		c.sides[0] = append(c.sides[0], round{count: 100 / slow, rate: 2000, gateway: 100 * time.Millisecond, all: time.Second, took: time.Second})
		c.sides[1] = append(c.sides[1], round{count: 50, rate: 1200, gateway: 100 * time.Millisecond, all: time.Second, took: time.Second})
	}
	return c
}

func TestComparison(t *testing.T) {
	c := sample()
	for name, got := range map[string][2]float64{
		"by processor time": {interval(c.ByProcessor()).Center, 0.5},
		"its lower end":     {interval(c.ByProcessor()).Lo, 0.5},
		"by rate":           {interval(c.ByRate()).Center, 0.6},
		"the bound":         {c.Bound(), 2. / 3},
	} {
		if math.Abs(got[0]-got[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", name, got[0], got[1])
		}
	}
	if got := ratio([]float64{1, 2, 3}); !strings.Contains(got, "too few") {
		t.Errorf("three rounds have the interval %s", got)
	}
}

func TestQuantile(t *testing.T) {
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.79: 4, 0.99: 5, 1: 5} {
		if got := quantile([]float64{5, 1, 4, 2, 3}, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

// A stall of 100 ms delays all deliveries that are due in it, not only the one that met it.
func TestWaitingCounts(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		for n := 0; err == nil; n++ {
			if _, err = http.ReadRequest(bufio.NewReader(conn)); n == 10 {
				time.Sleep(100 * time.Millisecond)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}()
	took, err := pace(t.Context(), load{site: site{address: listener.Addr().String()}, status: 200}, 1, 200, 300*time.Millisecond)
	if err != nil || len(took) != 60 {
		t.Fatalf("%d deliveries, %v", len(took), err)
	}
	if waited := quantile(took, 0.8); waited < 0.02 {
		t.Errorf("a fifth took at least %v s, so waiting does not count", waited)
	}
}

// The clock of a process counts what it uses, and not what it sleeps.
func TestProcessorTime(t *testing.T) {
	before, err := processorTime(os.Getpid())
	if err != nil {
		t.Skip(err)
	}
	hash(1<<10, 30*time.Millisecond)
	if spent := used(os.Getpid()) - before; spent < 5*time.Millisecond || spent > 3*time.Second {
		t.Errorf("30 ms of hashing used %v", spent)
	}
	if d := hash(1<<10, 10*time.Millisecond); d <= 0 || d > 0.001 {
		t.Errorf("an HMAC of 1 KiB takes %v s", d)
	}
}

func TestHead(t *testing.T) {
	got := string(head(site{address: "127.0.0.1:1"}, signed("secret", 2)))
	for _, want := range []string{
		"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:1\r\n",
		// printf xx | openssl dgst -sha256 -hmac secret
		"\r\nX-Hub-Signature: sha256=962f24884a6376537f39fc3f84eefe85598286efcb125001657af90aa01e8a31\r\n",
		"\r\nContent-Length: 2\r\n\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if got := string(head(site{}, delivery{})); strings.Contains(got, "Signature") {
		t.Errorf("%q is signed", got)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}

// The report names Caddy's version, whatever precedes it.
func TestCaddyVersion(t *testing.T) {
	for _, printed := range []string{
		"webhook_auth v0.1.0-3-gabc1234 Caddy v2.11.9 h1:bhZt=\n", "v2.11.9 h1:bhZt=\n", "v2.11.9\n",
	} {
		if got := caddyVersion(printed); got != "v2.11.9" {
			t.Errorf("%q has version %q", printed, got)
		}
	}
}

// Every row of a table has as many cells as its header, and the page says what to believe.
func TestMarkdown(t *testing.T) {
	r := report{
		Options: &options{Rate: 2000, Uploads: 1000, Against: "v1"},
		Rates:   []*comparison{sample()},
		Latency: []*paced{{Name: "guarded", Took: []float64{0.001, 0.002}, all: round{all: time.Second, took: time.Second}}},
		Ways:    []*way{{Name: "a way", all: round{count: 10, gateway: time.Millisecond}, redis: 100 * time.Microsecond}},
		Uploads: []*uploads{{Name: "signed", load: load{status: 200}, Answers: 1000}},
	}
	text, err := r.markdown()
	if err != nil {
		t.Fatal(err)
	}
	columns := 0
	for line := range strings.Lines(text) {
		cells := strings.Count(line, "|")
		if columns > 0 && cells > 0 && cells != columns {
			t.Errorf("%d cells under %d columns: %s", cells-1, columns-1, line)
		}
		columns = cells
	}
	for _, want := range []string{
		"| 1 MiB | 1.00 ms | 2.00 ms | 0.50 (0.50 to 0.50) |", "Believe", "old, of `v1`",
		"| guarded | 2 | 2.00 ms | 2.00 ms |", "| a way | 100 µs | 10,000 | 10 µs |", "| signed | 1,000 × 200 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
}

// No two sites have one address, and none is without: it would listen on every one.
func TestBenchCaddyfile(t *testing.T) {
	g := &gateway{Dir: "/dir", App: "127.0.0.1:1", site: make(map[string]string)}
	if err := caddyfile.Execute(io.Discard, g); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{"": true}
	for name, address := range g.site {
		if seen[address] {
			t.Errorf("the site %s has the address %q of another", name, address)
		}
		seen[address] = true
	}
	for _, name := range []string{"admin", "plain", "guarded", "guarded_tls", "refusing", "patient_plain", "patient", "remembering", "sharing"} {
		if g.site[name] == "" {
			t.Errorf("the Caddyfile has no site %s", name)
		}
	}
}

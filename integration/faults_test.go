package integration_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// A faultyApp speaks just enough HTTP to fail at one place. It answers a delivery that
// names no fault in the field X-Fault.
type faultyApp struct {
	addr string
	mu   sync.Mutex
	got  map[string][]string // the part of each body that reached it, by delivery
}

// appFaults lists every way to fail. Each function gets a connection after the header
// section, and the length of the body. It returns what it read.
var appFaults = map[string]func(c *net.TCPConn, body io.Reader, length int) []byte{
	"resets before the body": func(c *net.TCPConn, _ io.Reader, _ int) []byte { c.SetLinger(0); return nil },
	"resets after half": func(c *net.TCPConn, body io.Reader, length int) []byte {
		c.SetLinger(0)
		return readSome(body, length/2)
	},
	"closes after half":      func(_ *net.TCPConn, body io.Reader, length int) []byte { return readSome(body, length/2) },
	"closes after the body":  func(_ *net.TCPConn, body io.Reader, length int) []byte { return readSome(body, length) },
	"answers early, closes":  func(c *net.TCPConn, _ io.Reader, _ int) []byte { answerShort(c, "close"); return nil },
	"answers early, reads":   func(c *net.TCPConn, body io.Reader, n int) []byte { answerShort(c, "close"); return readSome(body, n) },
	"answers early, is deaf": func(c *net.TCPConn, _ io.Reader, _ int) []byte { answerShort(c, "keep-alive"); lie(c); return nil },
	"talks no HTTP": func(c *net.TCPConn, body io.Reader, length int) []byte {
		read := readSome(body, length)
		io.WriteString(c, "what?\r\n\r\n")
		return read
	},
	"hangs in the answer's head": func(c *net.TCPConn, body io.Reader, length int) []byte {
		read := readSome(body, length)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-")
		lie(c)
		return read
	},
	"hangs in the answer's body": func(c *net.TCPConn, body io.Reader, length int) []byte {
		read := readSome(body, length)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		lie(c)
		return read
	},
	"resets in the answer's body": func(c *net.TCPConn, body io.Reader, length int) []byte {
		read := readSome(body, length)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
		return read
	},
	"says continue, and no more": func(c *net.TCPConn, body io.Reader, length int) []byte {
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		return readSome(body, length)
	},
	"is deaf": func(c *net.TCPConn, _ io.Reader, _ int) []byte { lie(c); return nil },
}

func readSome(body io.Reader, n int) []byte {
	read, _ := io.ReadAll(io.LimitReader(body, int64(n)))
	return read
}

func answerShort(c io.Writer, connection string) {
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: 5\r\n\r\nearly", connection)
}

// lie keeps a connection open, and reads one byte only, to see its end.
func lie(c *net.TCPConn) {
	c.SetReadDeadline(time.Now().Add(3 * time.Second))
	c.Read(make([]byte, 1))
	time.Sleep(500 * time.Millisecond) // keeps the connection open
}

func startFaultyApp(t *testing.T) *faultyApp {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	a := &faultyApp{addr: listener.Addr().String(), got: make(map[string][]string)}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go a.serve(c.(*net.TCPConn))
		}
	}()
	return a
}

func (a *faultyApp) serve(c *net.TCPConn) {
	defer c.Close()
	for stream := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(stream)
		if err != nil {
			return
		}
		id, fault := r.Header.Get(idField), r.Header.Get("X-Fault")
		a.write(id, -1, "")
		a.mu.Lock()
		at := len(a.got[id]) - 1
		a.mu.Unlock()
		if goWrong, ok := appFaults[fault]; ok {
			read := goWrong(c, r.Body, int(r.ContentLength))
			a.write(id, at, string(read))
			return
		}
		read, err := io.ReadAll(r.Body)
		a.write(id, at, string(read))
		if err != nil {
			return
		}
		answer := fmt.Sprintf("the app got %d bytes", len(read))
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
		if fault == "closes when idle" {
			return // although the answer does not announce it
		}
	}
}

// write keeps the part of a body that came. An index of -1 means a new delivery.
func (a *faultyApp) write(id string, at int, body string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at < 0 {
		a.got[id] = append(a.got[id], "")
		return
	}
	a.got[id][at] = body
}

// wantOnce fails the test unless the delivery came once, with the beginning of its body
// and no other bytes.
func (a *faultyApp) wantOnce(t *testing.T, d delivery) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := a.got[d.id]; len(got) != 1 {
		t.Errorf("the app got the delivery %d times", len(got))
	} else if !strings.HasPrefix(string(d.body), got[0]) {
		t.Errorf("the app got %d bytes that are not the delivery's", len(got[0]))
	}
}

// TestAppFaults: however the app fails, it gets the delivery once, the sender gets one
// answer, and the gateway holds nothing of it afterwards. The connection is reused and
// the sender sends a key, so net/http would retry.
func TestAppFaults(t *testing.T) {
	t.Parallel()
	a := startFaultyApp(t)
	for name := range appFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			g := startGateway(t, canonical(&app{addr: a.addr}, "delivery_timeout 1s"), "TMPDIR="+dir)
			for _, key := range []string{"X-No-Key: 1", "Idempotency-Key: 1"} {
				for _, body := range []string{chatBotKit, pattern(1, 200_000), pattern(2, 5_000_000)} {
					g.fails(t, a, name, authentic(body, key, "Connection: close", "X-Fault: "+name))
				}
			}
			g.atRest(t)
			wantNoFile(t, dir)
		})
	}
}

// fails sends a delivery that the app fails, between two that it answers.
func (g *gateway) fails(t *testing.T, a *faultyApp, fault string, d delivery) {
	t.Helper()
	before, after := authentic(chatBotKit), authentic(chatBotKit)
	answered(t, g.deliver(t, before))
	c := g.dial(t)
	c.send(d.wire())
	answer, err := io.ReadAll(c.r)
	interim, answer := splitInterim(answer)
	status := 0
	fmt.Sscanf(string(answer), "HTTP/1.1 %d", &status)
	if n := bytes.Count(answer, []byte("HTTP/1.1 ")); n != 1 || interim > 0 && fault != "says continue, and no more" {
		t.Fatalf("%d answers: %.300q, %v", n, answer, err)
	}
	early := strings.HasPrefix(fault, "answers early")
	broken := strings.HasSuffix(fault, "the answer's body")
	switch {
	case broken && (status != 200 || !bytes.HasSuffix(answer, []byte("\r\n\r\nhalf"))):
		t.Errorf("answer %.300q, want a 200 that breaks off", answer)
	case early && status != 200 && status != 502, !early && !broken && status != 502 && status != 504:
		t.Errorf("answer %.300q", answer)
	case early && status == 200 && !bytes.HasSuffix(answer, []byte("\r\n\r\nearly")):
		t.Errorf("answer %.300q, want the app's", answer)
	}
	a.wantOnce(t, d)
	if fault == "answers early, is deaf" {
		g.deliver(t, authentic(chatBotKit)) // finds the connection that the app promised to keep open
	}
	answered(t, g.deliver(t, after))
	a.wantOnce(t, after)
}

// splitInterim cuts off the interim answers (RFC 9110, section 15.2).
func splitInterim(answer []byte) (count int, rest []byte) {
	for bytes.HasPrefix(answer, []byte("HTTP/1.1 1")) {
		_, answer, _ = bytes.Cut(answer, []byte("\r\n\r\n"))
		count++
	}
	return count, answer
}

// TestAppClosesIdleConnections: an app that closes idle connections without notice costs
// no delivery and gets none twice, although each one finds a connection that is about to
// close.
func TestAppClosesIdleConnections(t *testing.T) {
	t.Parallel()
	a := startFaultyApp(t)
	g := startGateway(t, canonical(&app{addr: a.addr}))
	lost := 0
	for range 200 {
		d := authentic(chatBotKit, "X-Fault: closes when idle")
		resp := g.deliver(t, d)
		a.mu.Lock()
		times := len(a.got[d.id])
		a.mu.Unlock()
		switch {
		case times > 1, resp.status == 200 && times != 1:
			t.Fatalf("answer %d, and the app got it %d times", resp.status, times)
		case resp.status == 502:
			lost++ // its sender knows, and retries
		case resp.status != 200:
			t.Errorf("answer %d", resp.status)
		}
	}
	t.Logf("%d of 200 were answered 502", lost)
}

// TestSenderFaults: senders that break off in every way, at every place, in a small body
// and in one on disk, reach nothing and leave nothing behind.
func TestSenderFaults(t *testing.T) {
	t.Parallel()
	l, dir := startLedger(t), t.TempDir()
	g := startGateway(t, canonical(l.app(), "memory 1MiB"), "TMPDIR="+dir)
	ways := map[string]func(c *conn){
		"reset":      func(c *conn) { c.SetLinger(0); c.Close() },
		"close":      func(c *conn) { c.Close() },
		"half-close": func(c *conn) { c.CloseWrite(); io.Copy(io.Discard, c); c.Close() },
	}
	var senders sync.WaitGroup
	for _, leave := range ways {
		for _, d := range []delivery{authentic(chatBotKit), authentic(pattern(1, 300_000)), authentic(pattern(2, 3_000_000)), authentic(pattern(3, 3_000_000)).chunks()} {
			for part := range 8 {
				c := g.dial(t)
				senders.Go(func() {
					wire := d.wire()
					io.WriteString(c, wire[:1+(len(wire)-2)*part/7])
					leave(c)
				})
			}
		}
	}
	trickling := authentic(pattern(4, 3_000_000))
	c := g.dial(t)
	senders.Go(func() {
		wire := trickling.wire()
		for rest := wire[:2_000_000]; len(rest) > 0; time.Sleep(time.Millisecond) { // the sender's slowness
			n := min(len(rest), 10_000)
			io.WriteString(c, rest[:n])
			rest = rest[n:]
		}
		c.SetLinger(0)
		c.Close()
	})
	senders.Wait()
	g.atRest(t)
	wantNoFile(t, dir)
	if got, _ := l.count(); got > 0 {
		t.Errorf("%d deliveries that never ended reached the app", got)
	}
}

// TestDeafSender: a sender that never reads its answer has still delivered, even if the
// answer is longer than sockets hold. The gateway does not wait for it.
func TestDeafSender(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	d := authentic(pattern(1, 1_000_000))
	c := g.dial(t)
	io.WriteString(c, d.wire())
	delivered(t, a, d)
	g.accepts(t, a, authentic(chatBotKit))
	g.atRest(t)
}

// smallDisk returns a folder on a disk of that many MiB.
func smallDisk(t *testing.T, mib int) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	if runtime.GOOS != "linux" {
		return dir, errors.ErrUnsupported
	}
	if output, err := asRoot(t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", mib), "tmpfs", dir).CombinedOutput(); err != nil {
		return dir, fmt.Errorf("mount: %w: %s", err, output)
	}
	t.Cleanup(func() { asRoot(t, "umount", "-l", dir).Run() })
	return dir, nil
}

// asRoot runs a command as root. In CI it uses sudo, so that nothing else has to run as
// root. Elsewhere it does not, because nobody expects a test to become root.
func asRoot(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getenv("CI") != "" && os.Getuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	return command(t, name, args...)
}

// TestDiskFills: many large deliveries at once share a disk that has no room for all of
// them. Each is either delivered whole, or answered 503 and never reaches the app. Then
// there is room again.
func TestDiskFills(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	const mib = 4
	option := "disk_budget 1GiB"
	dir, err := smallDisk(t, mib)
	if err != nil {
		t.Logf("the disk budget takes the place of a small disk: %v", err)
		option = fmt.Sprintf("disk_budget %dMiB", mib)
	}
	g := startGateway(t, budgets(a, option, "memory 64KiB"), "TMPDIR="+dir)
	var mu sync.Mutex
	statuses := make(map[int]int)
	for range 3 {
		var senders sync.WaitGroup
		for i := range 12 {
			senders.Go(func() {
				d := authentic(pattern(i, 900_000+i*100_000), "X-App: "+appSlow)
				resp := g.deliver(t, d)
				mu.Lock()
				statuses[resp.status]++
				mu.Unlock()
				switch resp.status {
				case http.StatusOK:
					delivered(t, a, d)
				case http.StatusServiceUnavailable:
					a.nothing(t, d.id)
				default:
					t.Errorf("answer %d", resp.status)
				}
			})
		}
		senders.Wait()
		g.atRest(t)
		g.accepts(t, a, authentic(pattern(99, 3_000_000)))
	}
	if statuses[200] == 0 || statuses[503] == 0 || len(statuses) != 2 {
		t.Errorf("answers %v, want both 200 and 503", statuses)
	}
	wantNoFile(t, dir)
}

// TestDiskGoesAway: without its folder, the gateway still serves what fits into memory.
func TestDiskGoesAway(t *testing.T) {
	t.Parallel()
	a, dir := startApp(t), filepath.Join(t.TempDir(), "spool")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, canonical(a, "memory 1MiB"), "TMPDIR="+dir)
	large := pattern(1, 3_000_000)
	g.accepts(t, a, authentic(large))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	g.refused(t, a, authentic(large), http.StatusServiceUnavailable, "overloaded")
	g.accepts(t, a, authentic(chatBotKit))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g.accepts(t, a, authentic(large))
}

// TestReloadsUnderLoad rotates the secret over and over while senders send: it adds the
// new one, senders switch to it, and it removes the old one. No authentic delivery is
// refused, and nothing forged gets through. A connection that ends without an answer is
// not a refusal: stock Caddy closes as many when it replaces a listener.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	const reloads, phase = 100, 10
	l := startLedger(t)
	secrets, environ := make([]string, reloads/phase+2), []string(nil)
	for i := range secrets {
		secrets[i] = fmt.Sprintf("%s-%d", otherSecret, i)
		environ = append(environ, fmt.Sprintf("S%d=%s", i, secrets[i]))
	}
	pair := func(first, second int) string {
		both := fmt.Sprintf("secret {env.S%d}\n\t\t\tsecret {env.S%d}", first, second)
		return strings.Replace(canonical(l.app(), "memory 64KiB"), "secret {env.WEBHOOK_SECRET}", both, 1)
	}
	g := newGateway(t, environ...)
	g.write(t, pair(0, 1))
	g.start(t)
	now := 0 // the number of the secret that senders use
	ld := startLoad(l, g.addr, 4, func() string { return secrets[now] }, func(errand, error) {})
	for i := range reloads {
		old := i / phase
		switch i % phase { // nine of ten configurations have both, in either order
		case 0:
			g.write(t, pair(old, old+1))
		case phase / 2:
			ld.guard.Lock() // nothing signed with the old one is on its way
			now = old + 1
			ld.guard.Unlock()
			g.write(t, pair(old+1, old))
		case phase - 1:
			g.write(t, pair(old+2, old+1))
		}
		g.load(t)
		l.grow(10)
	}
	ld.stop()
	got, answers := l.count()
	t.Logf("%d deliveries, %d answers, %d connections lost", got, answers, ld.lost.Load())
	if got < 10*reloads || answers < got {
		t.Errorf("%d deliveries and %d answers: that was no load", got, answers)
	}
	g.atRest(t)
}

// TestKilledUnderLoad: kill -9 during a load. Only beginnings of authentic deliveries
// reached the app, no file is left, and the next process serves.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	l, dir := startLedger(t), t.TempDir()
	l.mayBreak = true
	g := newGateway(t, "TMPDIR="+dir)
	g.write(t, canonical(l.app(), "memory 64KiB"))
	for range 3 {
		g.log = newLogbook()
		g.start(t)
		ld := startLoad(l, g.addr, 6, func() string { return testSecret }, func(errand, error) {})
		l.grow(100)
		g.process.Process.Kill()
		ends(t, "the end of the gateway", g.log.ended)
		ld.stop()
		wantNoFile(t, dir)
	}
	g.log = newLogbook()
	g.start(t)
	ld := startLoad(l, g.addr, 2, func() string { return testSecret }, func(e errand, err error) { t.Errorf("errand %d: %v", e.number, err) })
	l.grow(20)
	ld.stop()
}

package fleet

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// A Net is what servers are connected through, so that tests can cut one off. Each server
// connects from an address of its own (127.0.0.x, which only Linux has), by which the Net
// knows it. Everyone else, the gateways, always gets through.
type Net struct {
	mu    sync.Mutex
	next  int
	cut   string // the source of the server that is cut off; "": none
	wires map[*wire]bool
}

// NewNet returns a Net in which everything gets through.
func NewNet() *Net { return &Net{wires: make(map[*wire]bool)} }

// Cut drops what goes between a server and all others, in both directions and without
// closing a connection, until Heal.
func (n *Net) Cut(s *Server) { n.set(s.source) }

// Heal lets everything through again. Connections on which something was lost break.
func (n *Net) Heal() {
	n.set("")
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := range n.wires {
		if w.lost.Load() {
			w.close()
		}
	}
}

func (n *Net) set(source string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = source
}

// source returns an address for the connections of a server.
func (n *Net) source(t testing.TB) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	source := fmt.Sprintf("127.0.0.%d", 10+n.next)
	l, err := net.Listen("tcp", source+":0")
	if err != nil {
		t.Skipf("this system has no address %s: %v", source, err)
	}
	l.Close()
	return source
}

// attach returns the address at which others reach the server.
func (n *Net) attach(t testing.TB, s *Server) string {
	s.source = n.source(t)
	return n.listen(t, s.own, s.source)
}

// attachBus does the same for the port of the cluster bus.
func (n *Net) attachBus(t testing.TB, s *Server, bus int) string {
	_, port, _ := net.SplitHostPort(n.listen(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(bus)), s.source))
	return port
}

func (n *Net) listen(t testing.TB, target, to string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go n.join(near, target, to)
		}
	}()
	return l.Addr().String()
}

// A wire is one connection.
type wire struct {
	near, far net.Conn
	from, to  string
	lost      atomic.Bool // something was dropped, so nothing more may arrive
}

func (w *wire) close() {
	w.near.Close()
	w.far.Close()
}

func (n *Net) join(near net.Conn, target, to string) {
	far, err := net.Dial("tcp", target)
	if err != nil {
		near.Close()
		return
	}
	from, _, _ := net.SplitHostPort(near.RemoteAddr().String())
	w := &wire{near: near, far: far, from: from, to: to}
	n.mu.Lock()
	n.wires[w] = true
	n.mu.Unlock()
	go n.pump(w, near, far)
	n.pump(w, far, near)
	n.mu.Lock()
	delete(n.wires, w)
	n.mu.Unlock()
}

func (n *Net) pump(w *wire, to io.Writer, from io.Reader) {
	defer w.close()
	buffer := make([]byte, 1<<14)
	for {
		got, err := from.Read(buffer)
		if err != nil {
			return
		}
		if n.drops(w) {
			w.lost.Store(true)
		}
		if w.lost.Load() {
			continue
		}
		if _, err := to.Write(buffer[:got]); err != nil {
			return
		}
	}
}

func (n *Net) drops(w *wire) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut != "" && w.from != "127.0.0.1" && (w.from == n.cut || w.to == n.cut)
}

package redis_test

import (
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/storetest"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// A claim is renewed until it is finished, however long the app takes.
func TestRenewal(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)
	c, _ := storetest.Claim(t, s, 1, 6*time.Second, replay.Fresh)
	key := redis.Keys(t.Context(), "*").Val()[0]
	last := 6 * time.Second
	eventually(t, "the claim is renewed", func() bool {
		left := redis.PTTL(t.Context(), key).Val()
		renewed := left > last
		last = left
		return renewed
	})
	storetest.Claim(t, s, 1, lease, replay.InFlight)
	storetest.Must(t, s.Commit(t.Context(), c, window))
	if left := redis.PTTL(t.Context(), key).Val(); left < window/2 {
		t.Errorf("remembered for %v", left)
	}
}

// A claim whose answer timed out may still take effect. The store releases it.
func TestClaimTakesEffectTooLate(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	m := server.patient()
	m.Timeout = caddy.Duration(100 * time.Millisecond)
	s := open(t, m)
	eventually(t, "it is connected", func() bool {
		state, _, _ := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return state == replay.Fresh
	})
	server.freeze(t)
	if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease)); err == nil {
		t.Errorf("state %d from a hanging server", state)
	}
	server.thaw()
	redis := server.client(t)
	eventually(t, "it took effect", func() bool { return redis.DBSize(t.Context()).Val() == 2 })
	eventually(t, "it is released", func() bool {
		state, _, _ := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease))
		return state == replay.Fresh
	})
}

// A commit is remembered once the server is back, even long after the lease has expired.
func TestCommitAfterTheLease(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s := open(t, server.patient())
	c, _ := storetest.Claim(t, s, 1, time.Second, replay.Fresh)
	server.process.Process.Kill()
	server.process.Wait()
	if s.Commit(t.Context(), c, window) == nil {
		t.Error("a dead server answered")
	}
	time.Sleep(3 * c.Lease)
	os.Remove(server.socket)
	server.start(t, server.process.Path, server.process.Args[1:]...)
	redis := server.client(t)
	eventually(t, "it is remembered", func() bool { return redis.DBSize(t.Context()).Val() == 1 })
	storetest.Claim(t, s, 1, lease, replay.Done)
}

// The server was away for longer than the lease. The gateway still knows its deliveries,
// from the first moment on, and so do other gateways as soon as it has told the server.
func TestAwayForLongerThanTheLease(t *testing.T) {
	t.Parallel()
	const lease = 3 * time.Second
	server := startServer(t)
	m := server.patient()
	m.Timeout = caddy.Duration(500 * time.Millisecond)
	s, redis := open(t, m), server.client(t)
	var claims []replay.Claim
	eventually(t, "all three are claimed", func() bool { // a busy machine may miss the timeout
		for _, c := range claims {
			s.Release(t.Context(), c)
		}
		claims = nil
		for n := range 3 {
			c := replay.NewClaim(storetest.Key(n), lease)
			if state, _, err := s.Claim(t.Context(), c); err != nil || state != replay.Fresh {
				return false
			}
			claims = append(claims, c)
		}
		return true
	})
	const committed, underWay, released = 0, 1, 2
	server.freeze(t)
	if s.Commit(t.Context(), claims[committed], window) == nil || s.Release(t.Context(), claims[released]) == nil {
		t.Error("a hanging server answered")
	}
	time.Sleep(lease + time.Second)
	server.thaw()
	for range 1000 {
		if _, first := storetest.Claim(t, s, committed, lease, replay.Done); first.Sub(claims[committed].At).Abs() >= time.Millisecond { // Redis keeps milliseconds
			t.Fatalf("the first came at %v, want %v", first, claims[committed].At)
		}
		storetest.Claim(t, s, underWay, lease, replay.InFlight)
		if t.Failed() {
			t.FailNow()
		}
	}
	eventually(t, "what failed is free again", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(released), lease))
		return err == nil && state == replay.Fresh
	})
	eventually(t, "the server knows all three", func() bool { return redis.DBSize(t.Context()).Val() == 3 })
	w, other := startWire(t, server), server.patient()
	other.Addresses = []string{w.address} // another gateway
	o := open(t, other)
	storetest.Claim(t, o, committed, lease, replay.Done)
	storetest.Claim(t, o, underWay, lease, replay.InFlight)
	eventually(t, "it is committed", func() bool { return s.Commit(t.Context(), claims[underWay], window) == nil })
	storetest.Claim(t, o, underWay, lease, replay.Done)
}

// A server that lost everything learns again what is under way.
func TestServerForgets(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)
	c, _ := storetest.Claim(t, s, 1, 3*time.Second, replay.Fresh)
	storetest.Must(t, redis.FlushAll(t.Context()).Err())
	storetest.Claim(t, s, 1, lease, replay.InFlight)
	eventually(t, "it is claimed again", func() bool { return redis.DBSize(t.Context()).Val() == 1 })
	storetest.Must(t, s.Release(t.Context(), c))
	eventually(t, "nothing is left", func() bool { return redis.DBSize(t.Context()).Val() == 0 })
	storetest.Claim(t, s, 1, lease, replay.Fresh)
}

// A reload with another timeout has another client, which knows what the old one owes.
func TestReloadWhileAway(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s := open(t, server.patient())
	c, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	storetest.Claim(t, s, 2, lease, replay.Fresh)
	changed := server.patient()
	changed.Timeout = caddy.Duration(time.Second)
	after := open(t, changed)
	if s == after {
		t.Fatal("it is the same client")
	}
	server.process.Process.Kill()
	server.process.Wait()
	if s.Commit(t.Context(), c, window) == nil {
		t.Error("a dead server answered")
	}
	storetest.Claim(t, after, 1, lease, replay.Done)
	storetest.Claim(t, after, 2, lease, replay.InFlight)
}

// A server that grants claims but lets none be finished gets no new ones.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)
	c, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	other, _ := storetest.Claim(t, s, 2, lease, replay.Fresh)
	storetest.Must(t, redis.ACLSetUser(t.Context(), "default", "-eval").Err())
	if s.Commit(t.Context(), c, window) == nil || s.Release(t.Context(), other) == nil {
		t.Error("it succeeded without permission")
	}
	for n := range 100 {
		if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(100+n), lease)); err == nil {
			t.Fatalf("state %d", state)
		}
	}
	storetest.Must(t, redis.ACLSetUser(t.Context(), "default", "+eval").Err())
	eventually(t, "the released delivery is free", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease))
		return err == nil && state == replay.Fresh
	})
	storetest.Claim(t, s, 1, lease, replay.Done)
	if n := redis.DBSize(t.Context()).Val(); n != 2 {
		t.Errorf("%d keys, want 2", n)
	}
}

// A full server is not away: it answers at once, so no delivery waits for a timeout.
func TestServerIsFull(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)
	storetest.Must(t, redis.ConfigSet(t.Context(), "maxmemory", "1").Err())
	for n := range 10 {
		if _, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease)); err == nil || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("error %v", err)
		}
	}
	storetest.Must(t, redis.ConfigSet(t.Context(), "maxmemory", "0").Err())
	storetest.Claim(t, s, 1, lease, replay.Fresh)
}

// A wire forwards connections to a server, and can silently stop forwarding.
type wire struct {
	address string
	dead    atomic.Bool  // for connections that are open; new ones work
	lost    atomic.Int32 // connections on which data was lost
	open    atomic.Int32
}

func startWire(t *testing.T, server *server) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	w := &wire{address: listener.Addr().String()}
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", server.socket)
			if err != nil {
				return
			}
			w.open.Add(1)
			go io.Copy(near, far)
			go w.forward(far, near, w.dead.Load())
		}
	}()
	return w
}

func (w *wire) forward(far, near net.Conn, alive bool) {
	defer far.Close()
	defer near.Close()
	buffer, lost := make([]byte, 1<<16), false
	for {
		n, err := near.Read(buffer)
		if err != nil {
			return
		}
		if !alive && w.dead.Load() {
			if !lost {
				w.lost.Add(1)
			}
			lost = true
			continue
		}
		if _, err := far.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// A server that disappears without closing its connections leaves dead ones in the pool.
// They are not tried one after the other.
func TestDeadConnections(t *testing.T) {
	t.Parallel()
	const kept = 10
	server := startServer(t)
	w := startWire(t, server)
	m := server.patient()
	m.Addresses, m.Timeout = []string{w.address}, caddy.Duration(500*time.Millisecond)
	s := open(t, m)
	for start := time.Now(); w.open.Load() < kept; {
		var all sync.WaitGroup
		for n := range 4 * kept {
			all.Go(func() { s.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease)) })
		}
		if all.Wait(); time.Since(start) > patience {
			t.Fatalf("only %d connections", w.open.Load())
		}
	}
	w.dead.Store(true)
	eventually(t, "the store is back", func() bool {
		_, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err == nil
	})
	if lost := w.lost.Load(); lost > kept/2 {
		t.Errorf("%d dead connections were tried", lost)
	}
}

package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// What a server replies that cannot serve at the moment is as good as no answer. What it
// replies to a command that it will not take, at any time, is a reason to claim no more.
func TestReplies(t *testing.T) {
	for text, down := range map[string]bool{
		"READONLY You can't write against a read only replica.":            true,
		"LOADING Redis is loading the dataset in memory":                   true,
		"CLUSTERDOWN The cluster is down":                                  true,
		"CLUSTERDOWN Hash slot not served":                                 true,
		"MASTERDOWN Link with MASTER is down":                              true,
		"TRYAGAIN Multiple keys request during rehashing of slot":          true,
		"NOREPLICAS Not enough good replicas to write.":                    true,
		"MOVED 3999 127.0.0.1:6381":                                        true,
		"ASK 3999 127.0.0.1:6381":                                          true,
		"NOPERM User gateway has no permissions to run the 'eval' command": false,
		"OOM command not allowed when used memory > 'maxmemory'.":          false,
		"WRONGPASS invalid username-password pair or user is disabled.":    false,
		"NOAUTH Authentication required.":                                  false,
		"ERR unknown command 'set'":                                        false,
	} {
		err := fmt.Errorf("wrapped: %w", reply(text))
		if isDown(err) != down || isReply(err) == down || isAnswer(err) == down {
			t.Errorf("%s: down %v, reply %v", text, isDown(err), isReply(err))
		}
		if foreign := text == "CLUSTERDOWN Hash slot not served"; isForeign(err) != foreign {
			t.Errorf("%s: foreign %v", text, isForeign(err))
		}
	}
	for _, err := range []error{io.EOF, context.DeadlineExceeded, net.ErrClosed, redis.ErrPoolTimeout} {
		if isReply(err) || isAnswer(err) || unsent(err) {
			t.Errorf("%v is an answer", err)
		}
	}
	if !unsent(errUnasked) || !unsent(errCrowded) || unsent(errReplicas) {
		t.Error("a command that was sent may hold a claim, and one that was not does not")
	}
}

// reply is an error that a server sends, as go-redis returns it. Its type has no name
// outside go-redis.
func reply(text string) error { return as(redis.ErrCrossSlot, text) }

func as[T ~string](_ T, text string) T { return T(text) }

func testClient() *client {
	c := &client{config: config{cluster: true, timeout: time.Second, replicas: 1}, duties: newDuties(newLedger())}
	c.nodes = newNodes(true, c.newNode)
	return c
}

// A master that takes no duties, or rejects them, keeps those of no other from being taken.
func TestDutiesOfEachMaster(t *testing.T) {
	c := testClient()
	a, b := c.nodes.of("a:1"), c.nodes.of("b:1")
	claim := func(n *node, key byte) error {
		_, _, err := c.duties.admit(&duty{claim: replay.NewClaim(replay.Key{key}, time.Minute), node: n})
		return err
	}
	c.duties.refuse(a, io.EOF)
	if !errors.Is(claim(a, 1), io.EOF) || claim(b, 2) != nil {
		t.Error("a rejection counts for the wrong master")
	}
	c.duties.refuse(a, nil)
	a.owed += maxDuties
	if !errors.Is(claim(a, 3), errDuties) || claim(b, 4) != nil {
		t.Error("the bound counts for the wrong master")
	}
	a.owed -= maxDuties
	d := &duty{claim: replay.NewClaim(replay.Key{5}, time.Minute), node: a}
	c.duties.put(d)
	if c.duties.move(d, b); a.owed != 0 || b.owed != 3 || d.node != b {
		t.Errorf("after a move %d and %d are owed", a.owed, b.owed)
	}
	c.duties.drop(d)
	if c.duties.move(d, a); b.owed != 2 || a.owed != 0 {
		t.Errorf("moving a duty that is done: %d and %d are owed", a.owed, b.owed)
	}
	c.duties.settle(&duty{claim: d.claim, node: a}, reply("NOPERM"))
	if a.refused != nil {
		t.Error("a duty that is not owed counts")
	}
	c.duties.put(d)
	for _, text := range []string{"READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS"} {
		if c.duties.settle(d, reply(text+" x")); b.refused != nil {
			t.Errorf("%s is a reason to refuse", text)
		}
	}
	if c.duties.settle(d, reply("NOPERM x")); b.refused == nil || a.refused != nil {
		t.Errorf("refused %v, %v", a.refused, b.refused)
	}
}

// Renewals come first, and what the server rejects last.
func TestOrderOfDuties(t *testing.T) {
	now := time.Now()
	renewal := func(due time.Duration) *duty { return &duty{due: now.Add(due)} }
	finish := func(due time.Duration) *duty { return &duty{due: now.Add(due), until: now.Add(time.Hour)} }
	rejected, failed := renewal(0), renewal(3)
	rejected.failed, failed.failed = reply("WRONGTYPE x"), io.EOF
	want := []*duty{renewal(1), renewal(2), failed, finish(0), finish(4), rejected}
	got := slices.Clone(want)
	slices.Reverse(got)
	if slices.SortFunc(got, (*duty).after); !slices.Equal(got, want) {
		t.Error("wrong order")
	}
}

// One master that fails opens its circuit, and drops its connections and those of no other.
func TestCircuitOfEachMaster(t *testing.T) {
	c := testClient()
	a, b := c.nodes.of("a:1"), c.nodes.of("b:1")
	connect := func(n *node) *link { return &link{Conn: nowhere{}, node: n, epoch: n.epoch.Load()} }
	old, healthy := connect(a), connect(b)
	fail := func(n *node, err error) error {
		_, result := n.circuit.Execute(func() (any, error) { return nil, err })
		return result
	}
	for range 10 * tripAfter {
		fail(a, reply("CLUSTERDOWN Hash slot not served"))
		fail(b, reply("OOM x"))
	}
	if unsent(fail(a, nil)) || unsent(fail(b, nil)) {
		t.Fatal("the circuit opens for what is no failure of the node")
	}
	for range tripAfter {
		fail(a, io.EOF)
	}
	if !unsent(fail(a, nil)) || unsent(fail(b, nil)) {
		t.Error("the wrong circuit is open")
	}
	for _, l := range []struct {
		name  string
		link  *link
		stale bool
	}{{"the old one", old, true}, {"a new one", connect(a), false}, {"one of another", healthy, false}} {
		_, checked := l.link.SyscallConn()
		_, written := l.link.Write(nil)
		if errors.Is(checked, net.ErrClosed) != l.stale || errors.Is(written, net.ErrClosed) != l.stale {
			t.Errorf("%s: %v, %v", l.name, checked, written)
		}
	}
}

type nowhere struct{ net.Conn }

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// Addresses that are used no more are forgotten, unless something is owed to them.
func TestForgottenNodes(t *testing.T) {
	c := testClient()
	idle, owed, used := c.nodes.of("idle:1"), c.nodes.of("owed:1"), c.nodes.of("used:1")
	owed.owed = 1
	start := time.Now()
	later := start
	for range 3 {
		later = later.Add(forgetAfter + time.Second)
		c.nodes.of(used.address)
		c.nodes.all(later, c.duties.idle)
	}
	if c.nodes.known[owed.address] != owed || c.nodes.known[used.address] != used || c.nodes.known[idle.address] != nil {
		t.Errorf("it knows %v", c.nodes.known)
	}
	single := newNodes(false, c.newNode)
	if single.of("a:1") != single.of("b:1") {
		t.Error("a single server is two")
	}
	single.all(start.Add(10*forgetAfter), c.duties.idle)
	if all := single.all(start.Add(20*forgetAfter), c.duties.idle); len(all) != 1 {
		t.Errorf("of a single server %d are left", len(all))
	}
}

// While replicas do not acknowledge, one command a second waits for them, and never more at
// once than leave connections for renewals.
func TestReplicasHoldUpFew(t *testing.T) {
	t.Parallel()
	n := testClient().newNode("a:1")
	guard := func(result error) error {
		return n.replicas.guard(t.Context(), time.Second, func() error { return result })
	}
	for _, err := range []error{nil, io.EOF, errReplicas} { // EOF says nothing about replicas
		if got := guard(err); got != nil {
			t.Errorf("after %v: %v", err, got)
		}
	}
	if got := guard(nil); !errors.Is(got, errUnasked) {
		t.Errorf("after too few: %v", got)
	}
	for start := time.Now(); guard(nil) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > time.Minute {
			t.Fatal("it never asks again")
		}
	}
	end := make(chan struct{})
	var all sync.WaitGroup
	for range maxAwaiting {
		all.Go(func() {
			n.replicas.guard(t.Context(), time.Hour, func() error { <-end; return nil })
		})
	}
	for len(n.replicas.slots) < maxAwaiting {
		time.Sleep(time.Millisecond)
	}
	if got := guard(nil); !errors.Is(got, errUnasked) {
		t.Errorf("one too many: %v", got)
	}
	close(end)
	all.Wait()
	if got := guard(nil); got != nil {
		t.Errorf("when the others are done: %v", got)
	}
}

// The state of masters is used by many at once.
func TestNodesInParallel(t *testing.T) {
	t.Parallel()
	c := testClient()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for k := range 500 {
				n := c.nodes.of(fmt.Sprintf("node%d:1", k%6))
				d := &duty{claim: replay.NewClaim(replay.Key{byte(i), byte(k)}, time.Minute), node: n}
				if _, _, err := c.duties.admit(d); err != nil {
					continue
				}
				n.circuit.Execute(func() (any, error) { return nil, []error{nil, io.EOF}[k%2] })
				c.duties.move(d, c.nodes.of(fmt.Sprintf("node%d:1", (k+i)%6)))
				c.duties.refuse(n, []error{nil, io.EOF}[k%2])
				c.nodes.all(time.Now().Add(time.Duration(k)*forgetAfter), c.duties.idle)
				c.duties.drop(d)
			}
		})
	}
	all.Wait()
	if len(c.duties.owed) != 0 || len(c.duties.ledger.keys) != 0 {
		t.Errorf("%d duties are left", len(c.duties.owed))
	}
}

package integration_test

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/integration/fleet"
)

// A trouble happens to the servers of a fleet and ends with all of them working.
type trouble struct {
	name string
	run  func()
}

// fullLoad is how many deliveries FLEET_DELIVERIES asks for, and whether it does. Otherwise
// they arrive slowly for as long as the trouble lasts.
func fullLoad(t *testing.T) (deliveries int, full bool) {
	t.Helper()
	text := os.Getenv("FLEET_DELIVERIES")
	if text == "" {
		return 0, false
	}
	deliveries, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return deliveries, true
}

// A side is a gate of both gateways: deliveries to it, and what the app behind it took.
type side struct {
	path  string
	app   *tally
	crowd *crowd
	sent  int
}

// fleetGateway starts a gateway with two gates on the same servers, one of which waits for
// replicas. A claim outlives any trouble of a test.
func fleetGateway(t *testing.T, store string, wait int, fast, safe *side) *gateway {
	t.Helper()
	var b strings.Builder
	b.WriteString(":{$PORT} {\n")
	for _, s := range []*side{fast, safe} {
		waits := ""
		if s == safe {
			waits = fmt.Sprintf("wait_replicas %d\n", wait)
		}
		fmt.Fprintf(&b, `handle %s {
	webhook_auth {
		secret {env.WEBHOOK_SECRET}
		name %s
		delivery_timeout 60s
		replay 1h {
			store redis {
				%s
				password {env.REDIS_PASSWORD}
				key_prefix %s:
				%s}
		}
	}
	reverse_proxy %s
}
`, s.path, s.path[1:], store, s.path[1:], waits, s.app.addr)
	}
	b.WriteString("respond 404\n}\n")
	g := startGateway(t, b.String(), "REDIS_PASSWORD="+fleet.Password)
	t.Cleanup(func() {
		if strings.Contains(g.log.String(), fleet.Password) {
			t.Error("the log contains the password of the store")
		}
	})
	return g
}

// stream sends deliveries three times each, at once through both gateways, until the
// trouble is over.
func (s *side) stream(over <-chan struct{}, load int, full bool, one, two *gateway) {
	next := make(chan int)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for n := range next {
				var copies sync.WaitGroup
				for _, g := range []*gateway{one, two, one} {
					copies.Go(func() { s.crowd.deliver(g, numbered(n)) })
				}
				copies.Wait()
			}
		})
	}
	for ended := false; !ended || s.sent < load; s.sent++ {
		next <- s.sent
		if !full {
			time.Sleep(10 * time.Millisecond)
		}
		select {
		case <-over:
			ended = true
		default:
		}
	}
	close(next)
	workers.Wait()
}

// again sends all deliveries once more through each gateway: what the store has forgotten
// reaches the app again.
func (s *side) again(one, two *gateway) { s.crowd.all(s.sent, one, two) }

// twice counts what the app accepted more often than once, and how often at most.
func (s *side) twice(t *testing.T) (duplicates, most int) {
	s.app.mu.Lock()
	defer s.app.mu.Unlock()
	if len(s.app.took) != s.sent {
		t.Errorf("%s: the app accepted %d of %d deliveries", s.path, len(s.app.took), s.sent)
	}
	for _, took := range s.app.took {
		duplicates += took - 1
		most = max(most, took)
	}
	return duplicates, most
}

// endure runs deliveries while the trouble lasts, and counts. What is promised: with
// wait_replicas for all replicas no delivery reaches the app twice; without, each at most
// once more for each failover. Every delivery arrives, and no sender gets another answer
// than 200, 409 and 503.
func endure(t *testing.T, store string, wait int, troubles ...trouble) {
	load, full := fullLoad(t)
	fast, safe := &side{path: "/fast"}, &side{path: "/safe"}
	for _, s := range []*side{fast, safe} {
		s.app, s.crowd = startTally(t, 0), newCrowd(t)
		s.crowd.path = s.path
	}
	one, two := fleetGateway(t, store, wait, fast, safe), fleetGateway(t, store, wait, fast, safe)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for _, trouble := range troubles {
			time.Sleep(500 * time.Millisecond)
			start := time.Now()
			trouble.run()
			t.Logf("%s: %v", trouble.name, time.Since(start).Round(10*time.Millisecond))
		}
	}()
	var both sync.WaitGroup
	for _, s := range []*side{fast, safe} {
		both.Go(func() {
			s.stream(over, load, full, one, two)
			s.again(one, two)
		})
	}
	both.Wait()
	for _, s := range []*side{fast, safe} {
		duplicates, most := s.twice(t)
		t.Logf("%s: %d deliveries, 5 times each: %d reached the app again; %d answers of 409, %d of 503",
			s.path, s.sent, duplicates, s.crowd.answered[409].Load(), s.crowd.answered[503].Load())
		allowed := cmp.Or(map[bool]int{false: len(troubles)}[s == safe], 0)
		if most > 1+allowed {
			t.Errorf("%s: a delivery reached the app %d times", s.path, most)
		}
		for status := range s.crowd.answered {
			if n := s.crowd.answered[status].Load(); n > 0 && status != 200 && status != 409 && status != 503 {
				t.Errorf("%s: %d answers of %d", s.path, n, status)
			}
		}
	}
	if safe.crowd.answered[503].Load() == 0 {
		t.Error("a master was away, and nothing was refused")
	}
}

// TestFleetCluster: a cluster of six, of which a master is killed, another one paused and a
// third one cut off from the other nodes while both gateways still reach it.
func TestFleetCluster(t *testing.T) {
	t.Parallel()
	wires := fleet.NewNet()
	c := fleet.StartCluster(t, 3, 1, fleet.Options{Wires: wires, Flags: []string{
		"--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0", "--cluster-require-full-coverage", "no",
	}})
	endure(t, "cluster\naddress "+strings.Join(c.Addrs()[:3], " "), 1,
		trouble{"killed", func() {
			before := c.Masters()
			before[0].Kill()
			c.Successor(before[0], before)
			before[0].Start()
			c.Ready(1)
		}},
		trouble{"paused", func() {
			before := c.Masters()
			before[1].Pause()
			c.Successor(before[1], before)
			before[1].Resume()
			c.Ready(1)
		}},
		trouble{"cut off", func() {
			before := c.Masters()
			wires.Cut(before[2])
			c.Successor(before[2], before)
			time.Sleep(time.Second) // two masters, of which one does not know
			wires.Heal()
			c.Ready(1)
		}},
	)
}

// TestFleetSentinel: a master with two replicas and three sentinels. In CI the master is cut
// off only, which loses most.
func TestFleetSentinel(t *testing.T) {
	t.Parallel()
	wires := fleet.NewNet()
	w := fleet.StartWatched(t, 2, 1000, fleet.Options{Wires: wires})
	troubles := []trouble{{"cut off", func() {
		master := w.Current()
		wires.Cut(master)
		w.Successor(master)
		time.Sleep(time.Second)
		wires.Heal()
		w.Ready()
	}}}
	if _, full := fullLoad(t); full {
		troubles = append(troubles, trouble{"killed", func() {
			master := w.Current()
			master.Kill()
			w.Successor(master)
			master.Start()
			w.Ready()
		}}, trouble{"paused", func() {
			master := w.Current()
			master.Pause()
			w.Successor(master)
			master.Resume()
			w.Ready()
		}})
	}
	endure(t, "sentinel "+fleet.Master+"\nsentinel_password {env.REDIS_PASSWORD}\naddress "+strings.Join(w.Addrs(), " "), 2, troubles...)
}

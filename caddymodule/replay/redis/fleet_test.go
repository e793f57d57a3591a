package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/storetest"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
	replayredis "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis"
	"github.com/webhookauth/caddy-webhook-auth/integration/fleet"
)

// inCluster is a store on a cluster. Each gateway of a test knows it by another node, so
// that they share nothing in this process.
func inCluster(c *fleet.Cluster, seed int) *replayredis.Redis {
	return &replayredis.Redis{
		Addresses: []string{c.Servers[seed].Addr}, Cluster: true, Password: fleet.Password, Timeout: caddy.Duration(patience),
	}
}

// keyOf is the name of delivery n in the store.
func keyOf(prefix string, n int) string { return fmt.Sprintf("%s%x", prefix, storetest.Key(n)) }

// six starts a cluster of three masters with a replica each, which does not wait for all
// slots to work.
func six(t *testing.T, o fleet.Options) *fleet.Cluster {
	t.Helper()
	o.Flags = append(o.Flags, "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "3000", "--cluster-replica-validity-factor", "0")
	return fleet.StartCluster(t, 3, 1, o)
}

// Deliveries are spread over a cluster by their keys, and all gateways find them there.
func TestCluster(t *testing.T) {
	t.Parallel()
	const deliveries = 200
	c := six(t, fleet.Options{})
	one, two := open(t, inCluster(c, 0)), open(t, inCluster(c, 4))
	for n := range deliveries {
		first, _ := storetest.Claim(t, one, n, lease, replay.Fresh)
		storetest.Claim(t, two, n, lease, replay.InFlight)
		if n%2 == 0 {
			storetest.Must(t, one.Commit(t.Context(), first, window))
			storetest.Claim(t, two, n, lease, replay.Done)
		} else {
			storetest.Must(t, one.Release(t.Context(), first))
			storetest.Claim(t, two, n, lease, replay.Fresh)
		}
	}
	for _, s := range c.Servers[:3] {
		r := s.Client()
		if n := r.DBSize(t.Context()).Val(); n < deliveries/6 {
			t.Errorf("%s has %d of %d keys", s.Addr, n, deliveries)
		}
		r.Close()
	}
	storetest.Crowd{Senders: 8, Rounds: 100, Deliveries: 10, Commits: 20}.OneAtATime(t, open(t, prefixed(inCluster(c, 1), "crowd:")), open(t, prefixed(inCluster(c, 5), "crowd:")))

	waiting := prefixed(inCluster(c, 2), "waits:")
	waiting.WaitReplicas = 1
	for _, server := range c.Servers { // a user who may no more than the client needs
		server.Do("acl", "setuser", "gateway", "on", ">third-"+fleet.Password, "-@all", "~waits:*", "+get", "+set", "+del", "+eval", "+wait", "+cluster|slots", "+asking")
	}
	waiting.Username, waiting.Password = "gateway", "third-"+fleet.Password
	other := prefixed(inCluster(c, 3), "waits:")
	t.Run("slots move", func(t *testing.T) { slotsMove(t, c, one, two, "webhook_auth:", 1000) })
	t.Run("slots move, wait_replicas", func(t *testing.T) { slotsMove(t, c, open(t, waiting), open(t, other), "waits:", 2000) })
	t.Run("a slot of nobody", func(t *testing.T) { slotOfNobody(t, c, one) })
	t.Run("a master is killed", func(t *testing.T) { promoted(t, c, one) })
}

// promoted kills a master. Its replica takes its place, and is found before the map of the
// cluster is old.
func promoted(t *testing.T, c *fleet.Cluster, store replay.Store) {
	before := c.Masters()
	its, _ := shards(t, before[1], 1000, 0)
	n := its[999] // no other test had it
	before[1].Kill()
	if state, _, err := store.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease)); err == nil {
		t.Errorf("state %d", state)
	}
	c.Successor(before[1], before)
	eventually(t, "the new master takes claims", func() bool {
		state, _, err := store.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease))
		return err == nil && state == replay.Fresh
	})
}

func prefixed(m *replayredis.Redis, prefix string) *replayredis.Redis {
	m.KeyPrefix = prefix
	return m
}

// slotsMove moves the slot of a delivery to another master, which answers ASK first and
// MOVED then.
func slotsMove(t *testing.T, c *fleet.Cluster, one, two replay.Store, prefix string, n int) {
	storetest.Claim(t, one, n+1, lease, replay.Fresh) // there is a map
	key := keyOf(prefix, n)
	from := c.MasterOf(key)
	to := c.Servers[(slices.Index(c.Servers, from)+1)%3]
	slot := from.Do("cluster", "keyslot", key)
	to.Do("cluster", "setslot", slot, "importing", from.Do("cluster", "myid"))
	from.Do("cluster", "setslot", slot, "migrating", to.Do("cluster", "myid"))
	first, _ := storetest.Claim(t, one, n, lease, replay.Fresh)
	storetest.Claim(t, two, n, lease, replay.InFlight)
	for _, s := range []*fleet.Server{to, from} {
		s.Do("cluster", "setslot", slot, "node", to.Do("cluster", "myid"))
	}
	storetest.Claim(t, two, n, lease, replay.InFlight)
	storetest.Must(t, one.Commit(t.Context(), first, window))
	storetest.Claim(t, two, n, lease, replay.Done)
	if now := c.MasterOf(key); now != to {
		t.Errorf("the slot is at %v", now)
	}
}

// slotOfNobody takes a slot from its master. Its deliveries are refused, and those of the
// other slots of any node are not.
func slotOfNobody(t *testing.T, c *fleet.Cluster, store replay.Store) {
	key := keyOf("webhook_auth:", 3000)
	slot := c.Servers[0].Do("cluster", "keyslot", key)
	for _, s := range c.Servers {
		s.Do("cluster", "delslots", slot)
	}
	for n := range 50 {
		if state, _, err := store.Claim(t.Context(), replay.NewClaim(storetest.Key(3000), lease)); err == nil {
			t.Fatalf("state %d", state)
		}
		storetest.Claim(t, store, 4000+n, lease, replay.Fresh)
	}
}

// A dead shard holds up neither the claims nor the renewals of the others: what is under
// way there stays claimed for as long as it takes.
func TestDeadShard(t *testing.T) {
	t.Parallel()
	const slow, lease = 500, 3 * time.Second
	c := fleet.StartCluster(t, 3, 0, fleet.Options{Flags: []string{"--cluster-require-full-coverage", "no", "--cluster-node-timeout", "1000"}})
	one, two := open(t, inCluster(c, 0)), open(t, inCluster(c, 1))
	gone := c.Servers[2]
	dead, healthy := shards(t, gone, slow, slow)
	fresh := healthy[slow/2:]
	healthy = healthy[:slow/2]
	for _, n := range slices.Concat(healthy, dead) {
		storetest.Claim(t, one, n, lease, replay.Fresh)
	}
	storetest.Claim(t, two, healthy[0], lease, replay.InFlight) // it has a map too
	gone.Kill()
	for start, round := time.Now(), 0; time.Since(start) < 5*lease/2; round++ {
		for _, n := range healthy {
			storetest.Claim(t, two, n, lease, replay.InFlight)
		}
		for _, n := range fresh {
			c, _ := storetest.Claim(t, one, n, lease, replay.Fresh)
			storetest.Must(t, one.Release(t.Context(), c))
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		for _, n := range dead[:10] {
			if state, _, err := two.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease)); err == nil {
				t.Fatalf("delivery %d of the dead shard: state %d", n, state)
			}
		}
	}
	gone.Start()
	eventually(t, "the shard is back, and knows what is under way", func() bool {
		state, _, err := two.Claim(t.Context(), replay.NewClaim(storetest.Key(dead[0]), lease))
		return err == nil && state == replay.InFlight
	})
}

// shards returns deliveries that belong to a master of a cluster, and others that do not.
func shards(t *testing.T, s *fleet.Server, there, elsewhere int) (its, others []int) {
	r := s.Client()
	defer r.Close()
	for n := 1; len(its) < there || len(others) < elsewhere; n++ {
		if r.Exists(t.Context(), keyOf("webhook_auth:", n)).Err() == nil {
			its = append(its, n)
		} else {
			others = append(others, n)
		}
	}
	return its[:there], others[:elsewhere]
}

// A master that hangs costs some deliveries of its own slots a timeout, and the others
// nothing.
func TestHangingShard(t *testing.T) {
	t.Parallel()
	c := fleet.StartCluster(t, 3, 0, fleet.Options{Flags: []string{"--cluster-require-full-coverage", "no", "--cluster-node-timeout", "60000"}})
	m := inCluster(c, 0)
	m.Timeout = caddy.Duration(2 * time.Second)
	s := open(t, m)
	storetest.Claim(t, s, 0, lease, replay.Fresh)
	there, elsewhere := shards(t, c.Servers[2], 200, 200)
	c.Servers[2].Pause()
	defer c.Servers[2].Resume()
	var all sync.WaitGroup
	all.Go(func() {
		start := time.Now()
		for _, n := range there {
			if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease)); err == nil {
				t.Errorf("delivery %d of a master that hangs: state %d", n, state)
			}
		}
		if waited := time.Since(start); waited > patience {
			t.Errorf("%d deliveries waited %v", len(there), waited)
		}
	})
	for _, n := range elsewhere {
		storetest.Claim(t, s, n, lease, replay.Fresh)
	}
	all.Wait()
	c.Servers[2].Resume()
	eventually(t, "the shard is back", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(there[0]), lease))
		return err == nil && state == replay.Fresh
	})
}

// Another master takes the place of one that was killed, watched by sentinels, with TLS
// everywhere. What is under way and what was accepted is known there.
func TestSentinel(t *testing.T) {
	t.Parallel()
	certificate := fleet.NewAuthority(t).Issue("127.0.0.1")
	w := fleet.StartWatched(t, 2, 1000, fleet.Options{TLS: certificate})
	for _, s := range w.Sentinels { // a user of their own, who may no more than the client needs
		s.Do("acl", "setuser", "finder", "on", ">another-"+fleet.Password, "-@all", "+sentinel|get-master-addr-by-name", "+sentinel|sentinels", "+subscribe", "+ping", "allchannels")
	}
	for _, s := range w.Servers {
		s.Do("acl", "setuser", "gateway", "on", ">third-"+fleet.Password, "-@all", "~webhook_auth:*", "+get", "+set", "+del", "+eval", "+wait")
	}
	watched := func(seeds ...string) *replayredis.Redis {
		return &replayredis.Redis{
			Addresses: seeds, Sentinel: fleet.Master, Timeout: caddy.Duration(2 * time.Second), WaitReplicas: 1,
			Username: "gateway", Password: "third-" + fleet.Password, SentinelUsername: "finder", SentinelPassword: "another-" + fleet.Password,
			TLS: true, TLSCA: certificate.CA, TLSClientCert: certificate.Cert, TLSClientKey: certificate.Key,
		}
	}
	seeds := w.Addrs()
	one, two := open(t, watched(seeds...)), open(t, watched(seeds[2], "127.0.0.1:1")) // one of them is dead
	claims := make([]replay.Claim, 20)
	eventually(t, "all are claimed", func() bool { return claimAll(t, one, claims) })
	storetest.Must(t, one.Commit(t.Context(), claims[0], window))
	gone := w.Current()
	gone.Kill()
	if one.Commit(t.Context(), claims[1], window) == nil {
		t.Error("a dead master answered")
	}
	w.Successor(gone)
	eventually(t, "another master takes claims", func() bool {
		state, _, err := two.Claim(t.Context(), replay.NewClaim(storetest.Key(100), lease))
		return err == nil && state == replay.Fresh
	})
	storetest.Claim(t, two, 0, lease, replay.Done)
	storetest.Claim(t, two, 2, lease, replay.InFlight)
	eventually(t, "the commit arrives", func() bool {
		state, _, err := two.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err == nil && state == replay.Done
	})
}

// claimAll claims each delivery by its number, or releases them all again.
func claimAll(t *testing.T, s replay.Store, claims []replay.Claim) bool {
	for n := range claims {
		claims[n] = replay.NewClaim(storetest.Key(n), lease)
		if state, _, err := s.Claim(t.Context(), claims[n]); err != nil || state != replay.Fresh {
			for _, c := range claims[:n+1] {
				s.Release(t.Context(), c)
			}
			return false
		}
	}
	return true
}

// With wait_replicas a claim holds once the replicas have it. If one hangs, nothing new is
// claimed, and the master still renews, commits and releases.
func TestWaitReplicas(t *testing.T) {
	t.Parallel()
	w := fleet.StartWatched(t, 2, 60_000, fleet.Options{})
	master, replica := w.Servers[0], w.Servers[2]
	m := &replayredis.Redis{Addresses: []string{master.Addr}, Password: fleet.Password, Timeout: caddy.Duration(2 * time.Second), WaitReplicas: 2}
	s, r := open(t, m), master.Client()
	defer r.Close()
	claims := make([]replay.Claim, 3)
	eventually(t, "all are claimed", func() bool { return claimAll(t, s, claims) })
	copied := replica.Client()
	if keys := copied.DBSize(t.Context()).Val(); keys != 3 {
		t.Errorf("the replica has %d claims", keys)
	}
	copied.Close()

	replica.Pause()
	defer replica.Resume()
	start := time.Now()
	for n := range 100 {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(100+n), lease))
		if state != replay.Unknown || err == nil || !strings.Contains(err.Error(), "wait_replicas") {
			t.Fatalf("state %d, error %v", state, err)
		}
	}
	if waited := time.Since(start); waited > patience {
		t.Errorf("100 claims waited %v", waited)
	}
	if err := s.Commit(t.Context(), claims[0], window); err == nil || !strings.Contains(err.Error(), "wait_replicas") {
		t.Errorf("commit: error %v", err)
	}
	if held := r.Get(t.Context(), keyOf("webhook_auth:", 0)).Val(); !strings.HasPrefix(held, "done ") {
		t.Errorf("the master has %q", held)
	}
	if err := s.Release(t.Context(), claims[1]); err == nil || !strings.Contains(err.Error(), "wait_replicas") {
		t.Errorf("release: error %v", err)
	}
	storetest.Claim(t, s, 0, lease, replay.Done) // this gateway knows
	eventually(t, "claims that the replica does not have are released", func() bool { return r.DBSize(t.Context()).Val() == 2 })
	replica.Resume()
	eventually(t, "claims are taken again", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err == nil && state == replay.Fresh
	})
	storetest.Claim(t, s, 0, lease, replay.Done)
	eventually(t, "the commit is acknowledged", func() bool { return s.Commit(t.Context(), claims[2], window) == nil })
}

// Without enough replicas at all, nothing is claimed.
func TestWaitForMoreReplicasThanThereAre(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	m := server.patient()
	m.Timeout, m.WaitReplicas = caddy.Duration(time.Second), 1
	s, r := open(t, m), server.client(t)
	storetest.Must(t, r.ACLSetUser(t.Context(), "default", "-wait").Err())
	if _, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease)); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("without permission: error %v", err)
	}
	storetest.Must(t, r.ACLSetUser(t.Context(), "default", "+wait").Err())
	eventually(t, "it says how many there are", func() bool {
		_, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err != nil && strings.Contains(err.Error(), "0 of 1")
	})
	eventually(t, "nothing stays claimed", func() bool { return r.DBSize(t.Context()).Val() == 0 })
}

// A master that became a replica is away, and not one that rejects commits: as soon as it
// takes writes again, claims pass.
func TestDemoted(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	s, r := open(t, server.patient()), server.client(t)
	c, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	storetest.Must(t, r.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
	if err := s.Commit(t.Context(), c, window); err == nil || !strings.Contains(err.Error(), "READONLY") {
		t.Errorf("error %v", err)
	}
	for range 5 {
		if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease)); err == nil {
			t.Errorf("state %d", state)
		}
	}
	storetest.Must(t, r.Do(t.Context(), "replicaof", "no", "one").Err())
	eventually(t, "it takes claims", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease))
		return err == nil && state == replay.Fresh
	})
	eventually(t, "the commit arrives", func() bool {
		return strings.HasPrefix(r.Get(t.Context(), keyOf("webhook_auth:", 1)).Val(), "done ")
	})
}

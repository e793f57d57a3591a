package memory_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/storetest"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/memory"
)

const (
	lease  = time.Minute
	window = storetest.Window
)

// module returns the provisioned module and the context of its configuration.
func module(t *testing.T, maxEntries int) (*memory.Memory, caddy.Context) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	m := &memory.Memory{MaxEntries: maxEntries}
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	return m, ctx
}

// open returns the store of a gate and closes it when the test ends.
func open(t *testing.T, gate string, maxEntries int) replay.Store {
	t.Helper()
	m, _ := module(t, maxEntries)
	s, err := m.Open(gate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Cleanup() })
	return s
}

// claim claims delivery n and fails the test unless the store returns that state.
func claim(t *testing.T, s replay.Store, n int, want replay.State) (replay.Claim, time.Time) {
	t.Helper()
	return storetest.Claim(t, s, n, lease, want)
}

func TestMemoryCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.Name(), 10)
		c, _ := claim(t, s, 1, replay.Fresh)
		time.Sleep(time.Second)
		if _, first := claim(t, s, 1, replay.InFlight); !first.Equal(c.At) {
			t.Errorf("the first came at %v, want %v", first, c.At)
		}
		claim(t, s, 2, replay.Fresh)
		storetest.Must(t, s.Commit(t.Context(), c, window))
		time.Sleep(window - time.Nanosecond)
		if _, first := claim(t, s, 1, replay.Done); !first.Equal(c.At) {
			t.Errorf("the first came at %v, want %v", first, c.At)
		}
		time.Sleep(time.Nanosecond)
		claim(t, s, 1, replay.Fresh)
	})
}

func TestMemoryRelease(t *testing.T) {
	s := open(t, t.Name(), 10)
	c, _ := claim(t, s, 1, replay.Fresh)
	storetest.Must(t, s.Release(t.Context(), c))
	again, _ := claim(t, s, 1, replay.Fresh)
	storetest.Must(t, s.Release(t.Context(), c)) // another claim has its place
	claim(t, s, 1, replay.InFlight)
	storetest.Must(t, s.Commit(t.Context(), again, window))
	storetest.Must(t, s.Release(t.Context(), again)) // the app keeps what it accepted
	claim(t, s, 1, replay.Done)
}

// A claim holds until it is finished, however long the app takes, because it has no
// lease.
func TestLongDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.Name(), 10)
		c, _ := claim(t, s, 1, replay.Fresh)
		time.Sleep(10 * lease)
		claim(t, s, 1, replay.InFlight)
		storetest.Must(t, s.Commit(t.Context(), c, window))
		claim(t, s, 1, replay.Done)
	})
}

// No window, however long or short, switches the guard off.
func TestAnyWindow(t *testing.T) {
	s := open(t, t.Name(), 10)
	for n, window := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, 106751 * 24 * time.Hour, 0, -1, math.MinInt64} {
		c, _ := claim(t, s, n, replay.Fresh)
		storetest.Must(t, s.Commit(t.Context(), c, window))
		claim(t, s, n, replay.Done)
	}
}

// Every claim has a lease above zero: with zero, a store would keep the claim for ever or
// not at all.
func TestAnyLease(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{
		math.MinInt64: time.Millisecond, -1: time.Millisecond, 0: time.Millisecond,
		time.Minute: time.Minute, math.MaxInt64: 24*time.Hour + time.Minute,
	} {
		if got := replay.NewClaim(storetest.Key(1), lease).Lease; got != want {
			t.Errorf("%v: %v, want %v", lease, got, want)
		}
	}
}

// A commit is remembered even if the store has forgotten the claim, except in the place
// of another claim.
func TestCommitOfAForgottenClaim(t *testing.T) {
	s := open(t, t.Name(), 10)
	c, _ := claim(t, s, 1, replay.Fresh)
	storetest.Must(t, s.Release(t.Context(), c))
	storetest.Must(t, s.Commit(t.Context(), c, window))
	claim(t, s, 1, replay.Done)
	claim(t, s, 2, replay.Fresh)
	if err := s.Commit(t.Context(), replay.NewClaim(storetest.Key(2), lease), window); !errors.Is(err, replay.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	claim(t, s, 2, replay.InFlight)
}

// A full store forgets deliveries that the app accepted, and none that is under way.
func TestFullStoreKeepsClaims(t *testing.T) {
	s := open(t, t.Name(), 2)
	claim(t, s, 0, replay.Fresh)
	for n := 1; n < 10; n++ {
		c, _ := claim(t, s, n, replay.Fresh)
		storetest.Must(t, s.Commit(t.Context(), c, window))
	}
	claim(t, s, 0, replay.InFlight)
}

// The store is bounded. Entries whose window has ended make room first. If none has, the
// oldest goes, and only that counts as an eviction.
func TestEvictions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.Name(), 3)
		before := evictions(t)
		for n := range 4 {
			c, _ := claim(t, s, n, replay.Fresh)
			storetest.Must(t, s.Commit(t.Context(), c, window))
		}
		if got := evictions(t) - before; got != 1 {
			t.Errorf("%v evictions, want 1", got)
		}
		claim(t, s, 1, replay.Done)
		claim(t, s, 2, replay.Done)
		time.Sleep(window)
		for n := range 3 {
			claim(t, s, n, replay.Fresh)
		}
		if got := evictions(t) - before; got != 1 {
			t.Errorf("%v evictions, want 1: an entry whose window has ended is not evicted", got)
		}
	})
}

// A tenant that delivers without end forgets its own deliveries, and not those of others.
func TestOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.Name(), 30)
		deliver := func(owner string, n int) {
			c := replay.NewClaim(storetest.Key(n), lease)
			c.Owner = owner
			if state, _, err := s.Claim(t.Context(), c); state != replay.Fresh || err != nil {
				t.Errorf("%s %d: state %d, %v", owner, n, state, err)
			}
			storetest.Must(t, s.Commit(t.Context(), c, window))
		}
		knows := func(owner string, n int) bool {
			c := replay.NewClaim(storetest.Key(n), lease)
			c.Owner = owner
			state, _, _ := s.Claim(t.Context(), c)
			_ = s.Release(t.Context(), c)
			return state == replay.Done
		}
		for n := range 40 { // alone, it may fill the store
			deliver("busy", n)
		}
		for n := range 5 {
			deliver("acme", 100+n)
			deliver("globex", 200+n)
		}
		for n := range 1000 {
			deliver("busy", 1000+n)
		}
		for n := range 5 {
			if !knows("acme", 100+n) || !knows("globex", 200+n) {
				t.Errorf("delivery %d of a quiet tenant is forgotten", n)
			}
			if !knows("busy", 1999-n) {
				t.Errorf("delivery %d of the busy tenant is forgotten", n)
			}
		}
		if knows("acme", 200) {
			t.Error("a delivery of one tenant is known as another's")
		}
		time.Sleep(window)
		before := evictions(t)
		for n := range 30 {
			deliver("acme", 5000+n)
		}
		if got := evictions(t) - before; got != 0 {
			t.Errorf("%v evictions, although the window of the others has ended", got)
		}
	})
}

// With more owners than room, each delivery is remembered at first.
func TestMoreOwnersThanRoom(t *testing.T) {
	s := open(t, t.Name(), 3)
	for n := range 20 {
		for _, want := range []replay.State{replay.Fresh, replay.Done} {
			c := replay.NewClaim(storetest.Key(n), lease)
			c.Owner = strconv.Itoa(n)
			if state, _, err := s.Claim(t.Context(), c); state != want || err != nil {
				t.Fatalf("%d: state %d, %v; want %d", n, state, err, want)
			}
			storetest.Must(t, s.Commit(t.Context(), c, window))
		}
	}
}

// BenchmarkOwners has every second delivery be of an owner with less than its share.
func BenchmarkOwners(b *testing.B) {
	for _, owners := range []int{1, 100, 10_000} {
		b.Run(strconv.Itoa(owners), func(b *testing.B) {
			m := &memory.Memory{MaxEntries: 100_000}
			s, err := m.Open(b.Name())
			if err != nil {
				b.Fatal(err)
			}
			deliver := func(n, owner int) {
				c := replay.NewClaim(storetest.Key(n), lease)
				c.Owner = strconv.Itoa(owner)
				_, _, _ = s.Claim(b.Context(), c)
				_ = s.Commit(b.Context(), c, 1000*window)
			}
			for n := range m.MaxEntries {
				deliver(n, n%owners)
			}
			for n := m.MaxEntries; b.Loop(); n++ {
				deliver(n, n%(2*owners))
			}
		})
	}
}

// evictions returns the metric as a scrape finds it.
func evictions(t *testing.T) float64 {
	t.Helper()
	_, ctx := module(t, 1)
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "caddy_webhook_auth_replay_evictions_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("the metric of evictions is missing")
	return 0
}

// A reload keeps as much as the new max_entries allows. Two gates share nothing.
func TestMemoryReload(t *testing.T) {
	name := t.Name()
	first, _ := module(t, 10)
	s, err := first.Open(name)
	storetest.Must(t, err)
	for n := range 10 {
		c, _ := claim(t, s, n, replay.Fresh)
		storetest.Must(t, s.Commit(t.Context(), c, window))
	}
	other := open(t, name+"2", 10)
	claim(t, other, 9, replay.Fresh)

	broken, _ := module(t, 1) // of a configuration that fails to load
	_, err = broken.Open(name)
	storetest.Must(t, err)
	storetest.Must(t, broken.Cleanup())
	claim(t, s, 0, replay.Done)

	second, _ := module(t, 5)
	s2, err := second.Open(name)
	storetest.Must(t, err)
	claim(t, s2, 0, replay.Done)
	storetest.Must(t, first.Cleanup())
	claim(t, s2, 9, replay.Done)
	claim(t, s2, 5, replay.Done)
	claim(t, s2, 4, replay.Fresh)
	storetest.Must(t, second.Cleanup())

	claim(t, open(t, name, 10), 9, replay.Fresh)
	storetest.Must(t, new(memory.Memory).Cleanup()) // it was never opened
}

// Many goroutines at once never hold two claims for one delivery, and none after it was
// delivered.
func TestMemoryOneAtATime(t *testing.T) {
	storetest.Crowd{Senders: 16, Rounds: 2000, Deliveries: 20, Commits: 100}.OneAtATime(t, open(t, t.Name(), 1000))
}

// The store agrees with a simple model after any sequence of steps, with a clock.
func TestMemoryModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.Name(), 1000)
		type held struct {
			claim replay.Claim
			done  bool
			ends  time.Time
		}
		live := make(map[int]held)
		var made []replay.Claim
		for range 20_000 {
			n := rand.IntN(4)
			now := time.Now()
			if h, ok := live[n]; ok && h.done && !now.Before(h.ends) {
				delete(live, n)
			}
			h, isLive := live[n]
			switch rand.IntN(4) {
			case 0:
				want := replay.Fresh
				if isLive {
					want = replay.InFlight
				}
				if h.done {
					want = replay.Done
				}
				c, _ := claim(t, s, n, want)
				made = append(made, c)
				if want == replay.Fresh {
					live[n] = held{claim: c}
				}
			case 1:
				if isLive && !h.done {
					storetest.Must(t, s.Commit(t.Context(), h.claim, window))
					live[n] = held{h.claim, true, now.Add(window)}
				}
			case 2:
				if len(made) == 0 {
					break
				}
				c := made[rand.IntN(len(made))]
				storetest.Must(t, s.Release(t.Context(), c)) // mostly a claim that has ended
				for n, h := range live {
					if h.claim.Token == c.Token && !h.done {
						delete(live, n)
					}
				}
			case 3:
				time.Sleep(rand.N(window))
			}
		}
	})
}

func TestMemoryCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"memory":                                      "",
		"memory {\n max_entries 5\n}":                 "",
		"memory 5":                                    "block",
		"memory {\n max_entries\n}":                   "one argument",
		"memory {\n max_entries 1 2\n}":               "one argument",
		"memory {\n max_entries 0\n}":                 "greater than zero",
		"memory {\n max_entries many\n}":              "not a number; write for example: max_entries 100000",
		"memory {\n entries 5\n}":                     "max_entries",
		"memory {\n max_entries 5\n max_entries 6\n}": "twice",
	} {
		m := new(memory.Memory)
		err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestMaxEntries(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	if (&memory.Memory{MaxEntries: -1}).Provision(ctx) == nil {
		t.Error("a negative max_entries loads")
	}
	m := new(memory.Memory)
	if err := m.Provision(ctx); err != nil || m.MaxEntries != 100_000 {
		t.Errorf("%d entries by default, error %v", m.MaxEntries, err)
	}
}

// A delivery that is under way may finish after its configuration, and the gate with it, is
// gone.
func TestCommitAfterTheLastConfiguration(t *testing.T) {
	m, _ := module(t, 10)
	s, err := m.Open(t.Name())
	storetest.Must(t, err)
	c, _ := claim(t, s, 1, replay.Fresh)
	storetest.Must(t, m.Cleanup())
	storetest.Must(t, s.Commit(t.Context(), c, window))
	claim(t, s, 1, replay.Done)
}

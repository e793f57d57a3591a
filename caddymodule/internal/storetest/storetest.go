// Package storetest holds what the tests of replay stores share. Only tests import it.
package storetest

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// Window is how long the tests remember a delivery.
const Window = time.Hour

// Key returns the key of delivery n.
func Key(n int) (k replay.Key) {
	copy(k[:], strconv.Itoa(n))
	return k
}

// Claim claims delivery n and fails the test unless the store returns that state. first
// is the time of the claim that holds or was committed.
func Claim(t *testing.T, s replay.Store, n int, lease time.Duration, want replay.State) (c replay.Claim, first time.Time) {
	t.Helper()
	c = replay.NewClaim(Key(n), lease)
	state, first, err := s.Claim(t.Context(), c)
	if err != nil || state != want {
		t.Errorf("delivery %d: state %d, error %v; want state %d", n, state, err, want)
	}
	return c, first
}

// Must fails the test if there is an error.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// A Crowd is many senders that claim the same deliveries at once. They commit one of
// Commits claims and release the others.
type Crowd struct{ Senders, Rounds, Deliveries, Commits int }

// OneAtATime runs the crowd, spread over the stores. It fails the test if two claims hold
// for one delivery, or one holds after the delivery was committed.
func (c Crowd) OneAtATime(t *testing.T, stores ...replay.Store) {
	t.Helper()
	seen := make([]sightings, c.Deliveries)
	var all sync.WaitGroup
	for i := range c.Senders {
		all.Go(func() {
			for range c.Rounds {
				n := rand.IntN(c.Deliveries)        //nolint:gosec // no secret
				commit := rand.IntN(c.Commits) == 0 //nolint:gosec // no secret
				seen[n].claim(t, stores[i%len(stores)], n, commit)
			}
		})
	}
	all.Wait()
}

// sightings is what the senders saw of one delivery.
type sightings struct{ holders, delivered atomic.Int32 }

func (s *sightings) claim(t *testing.T, store replay.Store, n int, commit bool) {
	t.Helper()
	c := replay.NewClaim(Key(n), time.Minute)
	state, _, err := store.Claim(t.Context(), c)
	if err != nil || state == replay.Unknown {
		t.Error(state, err)
	}
	if state != replay.Fresh {
		return
	}
	if s.holders.Add(1) != 1 || s.delivered.Load() != 0 {
		t.Error("two have the same delivery")
	}
	runtime.Gosched() // lets another sender try to claim it as well
	if commit {
		s.delivered.Add(1)
	}
	s.holders.Add(-1)
	if commit {
		Must(t, store.Commit(t.Context(), c, Window))
	} else {
		Must(t, store.Release(t.Context(), c))
	}
}

package redis

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// The duties for a server are bounded: first it gets no new claims, then no duties.
func TestFullOfDuties(t *testing.T) {
	t.Parallel()
	s, n := newDuties(newLedger()), new(node)
	next := func() *duty {
		key := replay.Key(sha256.Sum256([]byte(rand.Text())))
		return &duty{claim: replay.NewClaim(key, time.Minute), node: n, until: time.Now().Add(time.Minute)}
	}
	last := next()
	if !s.put(last) {
		t.Fatal("an empty store has no room")
	}
	for range maxDuties - 1 {
		if _, _, err := s.admit(next()); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.admit(next()); !errors.Is(err, errDuties) {
		t.Errorf("error %v, want errDuties", err)
	}
	if s.put(next()) {
		t.Error("there is no bound")
	}
	if instead := (&duty{claim: last.claim, node: n, until: last.until}); !s.put(instead) {
		t.Error("a full store does not replace the duty of a claim")
	} else if s.settle(last, nil); len(s.owed) != maxDuties {
		t.Error("settling a replaced duty removes the one that replaced it")
	} else if s.settle(instead, nil); len(s.owed) != maxDuties-1 {
		t.Error("a duty that is done is kept")
	}
}

// A flood of one delivery does not queue up behind a slow server.
func TestOneDeliveryWaitsAFewTimes(t *testing.T) {
	t.Parallel()
	s := newDuties(newLedger())
	claim := func() (replay.State, time.Time) {
		state, first, err := s.admit(&duty{claim: replay.NewClaim(replay.Key{1}, time.Minute), node: new(node)})
		if err != nil {
			t.Fatal(err)
		}
		return state, first
	}
	for range maxWaiting {
		if state, _ := claim(); state != replay.Fresh {
			t.Fatalf("state %d", state)
		}
	}
	if state, first := claim(); state != replay.InFlight || first.IsZero() || len(s.owed) != maxWaiting {
		t.Errorf("state %d since %v, %d wait", state, first, len(s.owed))
	}
}

// A duty that is never done ends, and is returned so that it can be logged.
func TestDutiesEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newDuties(newLedger())
	for n, d := range []duty{
		{due: now.Add(-time.Minute), until: now.Add(-time.Second)}, // too late
		{due: now.Add(-time.Minute), until: now.Add(time.Minute)},
		{due: now.Add(-time.Minute)}, // a renewal has no end of its own
		{due: now.Add(time.Minute)},
	} {
		d.claim, d.node = replay.NewClaim(replay.Key{}, time.Minute), new(node)
		if !s.put(&d) {
			t.Error("no room for " + strconv.Itoa(n))
		}
	}
	if due, late := s.due(now); len(due) != 2 || len(late) != 1 || len(s.owed) != 3 {
		t.Errorf("%d due, %d late, %d left", len(due), len(late), len(s.owed))
	}
	if s.end(now); s.over(now.Add(time.Second)) {
		t.Error("it is over with duties left")
	}
	clear(s.owed)
	if !s.over(now.Add(time.Second)) {
		t.Error("it is never over")
	}
}

// If the server grants a delivery twice, the claim that is confirmed first holds.
func TestConfirm(t *testing.T) {
	t.Parallel()
	ledger := newLedger()
	s, reloaded := newDuties(ledger), newDuties(ledger)
	next := func() *duty { return &duty{claim: replay.NewClaim(replay.Key{1}, time.Minute), node: new(node)} }
	a, b := next(), next()
	for _, d := range []*duty{a, b} {
		if state, _, err := s.admit(d); state != replay.Fresh || err != nil {
			t.Fatalf("state %d, error %v", state, err)
		}
	}
	if state, _ := s.confirm(b); state != replay.Fresh {
		t.Errorf("the first: state %d", state)
	}
	if state, first := s.confirm(a); state != replay.InFlight || !first.Equal(b.claim.At) {
		t.Errorf("the second: state %d, first %v", state, first)
	}
	s.drop(a)
	if state, _, _ := reloaded.admit(next()); state != replay.InFlight {
		t.Errorf("another client of that server: state %d", state)
	}
	s.put(&duty{claim: b.claim, node: b.node, until: time.Now().Add(time.Hour), tells: replay.Done})
	if state, _, _ := reloaded.admit(next()); state != replay.Done {
		t.Errorf("owed: state %d", state)
	}
	s.drop(s.owed[b.claim.Token])
	if state, _, _ := reloaded.admit(a); state != replay.Fresh || len(s.owed) != 0 {
		t.Errorf("nothing owed: state %d, %d left", state, len(s.owed))
	}
	reloaded.drop(a)
	if len(ledger.keys) != 0 {
		t.Errorf("the ledger keeps %d keys", len(ledger.keys))
	}
}

// A renewal that reaches the server after the release brings the claim back. It is
// released again, whether or not the first release succeeded.
func TestLateRenewal(t *testing.T) {
	t.Parallel()
	for name, finish := range map[string]func(s *duties, first *duty){
		"released":      func(s *duties, first *duty) { s.put(first); s.settle(first, nil) },
		"release owed":  func(s *duties, first *duty) { s.put(first) },
		"nothing to do": func(*duties, *duty) {},
	} {
		s := newDuties(newLedger())
		claim := replay.NewClaim(replay.Key{1}, time.Minute)
		release := func() *duty {
			return &duty{claim: claim, node: new(node), script: releaseScript, until: time.Now().Add(time.Minute)}
		}
		renewal, again := &duty{claim: claim, node: new(node)}, release()
		if _, _, err := s.admit(renewal); err != nil {
			t.Fatal(err)
		}
		finish(&s, release())
		late := s.settle(renewal, nil)
		if late {
			s.undo(renewal, again)
		}
		if want := name != "nothing to do"; late != want || want && s.owed[claim.Token] != again {
			t.Errorf("%s: late %v, owed %v", name, late, s.owed[claim.Token])
		}
	}
	s := newDuties(newLedger())
	renewal := &duty{claim: replay.NewClaim(replay.Key{1}, time.Minute), node: new(node)}
	commit := &duty{claim: renewal.claim, node: renewal.node, script: commitScript, until: time.Now().Add(time.Minute), tells: replay.Done}
	s.put(renewal)
	s.put(commit)
	if s.undo(renewal, &duty{claim: renewal.claim, node: renewal.node, script: releaseScript}); s.owed[renewal.claim.Token] != commit {
		t.Error("a release replaced the commit that is owed")
	}
}

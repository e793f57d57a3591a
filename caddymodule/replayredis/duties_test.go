package replayredis

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// What is kept for a server is bounded: first no new claims, then nothing at all.
func TestFullOfDuties(t *testing.T) {
	t.Parallel()
	s := duties{owed: make(map[token]*duty)}
	next := func() *duty {
		return &duty{claim: replay.NewClaim(replay.Key{}, time.Minute), until: time.Now().Add(time.Minute)}
	}
	last := next()
	if !s.put(last) {
		t.Fatal("an empty store has no room")
	}
	for range maxDuties - 1 {
		if err := s.admit(next()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.admit(next()); !errors.Is(err, errDuties) {
		t.Errorf("error %v, want errDuties", err)
	}
	if s.put(next()) {
		t.Error("there is no bound")
	}
	if instead := (&duty{claim: last.claim, until: last.until}); !s.put(instead) {
		t.Error("a claim cannot be finished because there are others")
	} else if s.settle(last, nil); len(s.owed) != maxDuties {
		t.Error("what was replaced ends what took its place")
	} else if s.settle(instead, nil); len(s.owed) != maxDuties-1 {
		t.Error("what is done is kept")
	}
}

// A duty that nobody takes ends, and is told.
func TestDutiesEnd(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := duties{owed: make(map[token]*duty)}
	for n, d := range []duty{
		{due: now.Add(-time.Minute), until: now.Add(-time.Second)}, // too late
		{due: now.Add(-time.Minute), until: now.Add(time.Minute)},
		{due: now.Add(-time.Minute)}, // a renewal has no end of its own
		{due: now.Add(time.Minute)},
	} {
		d.claim = replay.NewClaim(replay.Key{}, time.Minute)
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

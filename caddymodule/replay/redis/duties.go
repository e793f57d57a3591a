package redis

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

// maxDuties bounds what is kept for a server that does not take it. A duty is a few
// hundred bytes.
const maxDuties = 1 << 16

var errDuties = errors.New("too much is under way, or could not be finished; nothing new is claimed")

type token = [16]byte

// A duty is a command that is owed to the server: to renew a claim for as long as
// its delivery is under way, or to finish one for which that failed at first. A
// claim has one duty at a time.
type duty struct {
	claim  replay.Claim
	script string
	args   []any
	due    time.Time
	until  time.Time    // when it is given up; zero: a renewal, which its delivery ends
	tells  replay.State // what a repetition is told meanwhile; Unknown: what the server says
	failed error        // the last time
}

func (d *duty) renews() bool { return d.until.IsZero() }

func (d *duty) releases() bool { return d.script == releaseScript }

// A third of the lease leaves room for two failures.
func (c *client) renewal(claim replay.Claim) *duty {
	return &duty{
		claim: claim, script: renewScript, args: []any{value("claimed", claim), claim.Lease.Milliseconds()},
		due: time.Now().Add(claim.Lease / 3),
	}
}

// A commit is retried until the window ends.
func (c *client) committing(claim replay.Claim, window time.Duration) *duty {
	window = time.Duration(limits.Window.Clamp(int64(window)))
	d := c.finishing(claim, window, commitScript, value("claimed", claim), value("done", claim), window.Milliseconds())
	d.tells = replay.Done
	return d
}

// A release is retried for as long as the server holds the claim by itself.
func (c *client) releasing(claim replay.Claim) *duty {
	return c.finishing(claim, claim.Lease, releaseScript, value("claimed", claim))
}

func (c *client) finishing(claim replay.Claim, worth time.Duration, script string, args ...any) *duty {
	now := time.Now()
	return &duty{claim: claim, script: script, args: args, due: now.Add(openFor + c.config.timeout), until: now.Add(worth)}
}

func (c *client) givenUp(d *duty) {
	c.logger().Error("a claim could not be finished, and that is given up; its delivery may come again", zap.Time("claimed", d.claim.At), zap.Error(d.failed))
}

// work does what is due, until nothing can come any more.
func (c *client) work() {
	for now := range time.Tick(openFor) {
		due, late := c.duties.due(now)
		for _, d := range late {
			c.givenUp(d)
		}
		c.duties.refuse(c.round(due))
		if c.duties.over(now) {
			_ = c.redis.Load().Close()
			_, _ = ledgers.Delete(c.config.server())
			return
		}
	}
}

// round ends with the first failure; the next one begins anywhere. It returns what
// the server does not take.
func (c *client) round(due []*duty) error {
	for _, d := range due {
		err := c.eval(context.Background(), d)
		if c.duties.settle(d, err) {
			c.duties.undo(d, c.releasing(d.claim))
		}
		switch {
		case isReply(err):
			return err
		case err != nil && !errors.Is(err, replay.ErrLost):
			return nil
		}
	}
	return nil
}

// A ledger is what this process owes to one server, by the keys of deliveries. It
// knows what a server does not that was away for longer than a lease: which
// deliveries are still under way here, and which the app took. Clients that differ in
// a password or a timeout share it, because a reload replaces one by the other.
type ledger struct {
	mu   sync.Mutex
	keys map[replay.Key][]*duty
}

// ledgers are those of the process, by the server.
var ledgers = caddy.NewUsagePool()

func newLedger() *ledger { return &ledger{keys: make(map[replay.Key][]*duty)} }

// Destruct implements caddy.Destructor.
func (*ledger) Destruct() error { return nil }

// known returns what is known of a delivery without its server, except by the same
// claim.
func (l *ledger) known(claim replay.Claim) (state replay.State, first time.Time) {
	for _, d := range l.keys[claim.Key] {
		if d.claim.Token != claim.Token && d.tells > state {
			state, first = d.tells, d.claim.At
		}
	}
	return state, first
}

func (l *ledger) enter(d *duty) { l.keys[d.claim.Key] = append(l.keys[d.claim.Key], d) }

func (l *ledger) strike(d *duty) {
	left := slices.DeleteFunc(l.keys[d.claim.Key], func(other *duty) bool { return other == d })
	if l.keys[d.claim.Key] = left; len(left) == 0 {
		delete(l.keys, d.claim.Key)
	}
}

// duties are all those of a client, by the tokens of their claims. The mutex of the
// ledger guards them.
type duties struct {
	ledger  *ledger
	owed    map[token]*duty
	refused error     // what the server says to a duty that it does not take
	ends    time.Time // zero: not yet
}

func newDuties(l *ledger) duties { return duties{ledger: l, owed: make(map[token]*duty)} }

func (s *duties) set(d *duty) {
	s.remove(s.owed[d.claim.Token])
	s.owed[d.claim.Token] = d
	s.ledger.enter(d)
}

func (s *duties) remove(d *duty) {
	if d != nil {
		delete(s.owed, d.claim.Token)
		s.ledger.strike(d)
	}
}

// admit takes the duty of a new claim, unless this process knows better than the
// server: then it returns the state. It also takes none while the server takes claims
// and lets none be finished, as where the user may SET and not EVAL: they would pile
// up.
func (s *duties) admit(d *duty) (replay.State, time.Time, error) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if state, first := s.ledger.known(d.claim); state != replay.Unknown {
		return state, first, nil
	}
	if s.refused != nil {
		return replay.Unknown, time.Time{}, s.refused
	}
	if len(s.owed) >= maxDuties {
		return replay.Unknown, time.Time{}, errDuties
	}
	s.set(d)
	return replay.Fresh, time.Time{}, nil
}

// confirm is told that the server has given the claim. Of two that were given the
// same delivery, because one lease ended before its answer was here, the first one
// that is confirmed has it; the other one gets the state of the first.
func (s *duties) confirm(d *duty) (replay.State, time.Time) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if state, first := s.ledger.known(d.claim); state != replay.Unknown {
		return state, first
	}
	d.tells = replay.InFlight
	return replay.Fresh, time.Time{}
}

// releases returns what is owed to the server before it can give the claim.
func (s *duties) releases(claim replay.Claim) (owed []*duty) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, d := range s.ledger.keys[claim.Key] {
		if d.releases() && d.claim.Token != claim.Token {
			owed = append(owed, d)
		}
	}
	return owed
}

// put makes d the duty of its claim, if there is room.
func (s *duties) put(d *duty) bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if _, ok := s.owed[d.claim.Token]; !ok && len(s.owed) >= maxDuties {
		return false
	}
	s.set(d)
	return true
}

// drop forgets d, unless the claim has another duty by now.
func (s *duties) drop(d *duty) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if s.owed[d.claim.Token] == d {
		s.remove(d)
	}
}

// settle is told how it went. It reports whether a renewal came too late, when the
// claim was finished: it may have brought a claim back that was released.
func (s *duties) settle(d *duty, err error) (late bool) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	now := time.Now()
	switch {
	case s.owed[d.claim.Token] != d: // the claim has another duty by now
		return d.renews()
	case errors.Is(err, replay.ErrLost) && d.renews(): // the delivery is still under way, and its place may be free again
		d.due = now.Add(d.claim.Lease / 3)
	case errors.Is(err, replay.ErrLost), err == nil && !d.renews():
		s.remove(d)
	case err != nil:
		d.due, d.failed = now, err
		if isReply(err) {
			s.refused = err
		}
	default:
		d.due = now.Add(d.claim.Lease / 3)
	}
	return false
}

// undo owes a release for a renewal that came too late. A commit needs none: it takes
// the place of the claim.
func (s *duties) undo(renewal, release *duty) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if d := s.owed[renewal.claim.Token]; d == nil || d.releases() {
		s.set(release)
	}
}

// due returns what is to be done now, and what it is too late for.
func (s *duties) due(now time.Time) (due, late []*duty) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	for _, d := range s.owed {
		switch {
		case !d.renews() && now.After(d.until):
			late = append(late, d)
			s.remove(d)
		case !now.Before(d.due):
			due = append(due, d)
		}
	}
	return due, late
}

// refuse lets no claim in for as long as err is not nil.
func (s *duties) refuse(err error) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.refused = err
}

// end says when no new claims come any more.
func (s *duties) end(at time.Time) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ends = at
}

func (s *duties) over(now time.Time) bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return !s.ends.IsZero() && now.After(s.ends) && len(s.owed) == 0
}

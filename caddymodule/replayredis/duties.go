package replayredis

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

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
	until  time.Time // when it is given up; zero: a renewal, which its delivery ends
	failed error     // the last time
}

// A third of the lease leaves room for two failures.
func (c *client) renewal(claim replay.Claim) *duty {
	return &duty{
		claim: claim, script: renewScript, args: []any{value("claimed", claim), claim.Lease.Milliseconds()},
		due: time.Now().Add(claim.Lease / 3),
	}
}

// committing is worth it for as long as the delivery is to be remembered.
func (c *client) committing(claim replay.Claim, window time.Duration) *duty {
	return c.finishing(claim, window, commitScript, value("claimed", claim), value("done", claim), window.Milliseconds())
}

// releasing is worth it for as long as the server holds the claim by itself.
func (c *client) releasing(claim replay.Claim) *duty {
	return c.finishing(claim, claim.Lease, releaseScript, value("claimed", claim))
}

func (c *client) finishing(claim replay.Claim, worth time.Duration, script string, args ...any) *duty {
	now := time.Now()
	return &duty{claim: claim, script: script, args: args, due: now.Add(openFor + c.config.timeout), until: now.Add(worth)}
}

func (c *client) givenUp(d *duty) {
	c.logger.Error("a claim could not be finished, and that is given up; its delivery may come again", zap.Time("claimed", d.claim.At), zap.Error(d.failed))
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
			return
		}
	}
}

// round ends with the first failure; the next one begins anywhere. It returns what
// the server does not take.
func (c *client) round(due []*duty) error {
	for _, d := range due {
		err := c.eval(context.Background(), d)
		c.duties.settle(d, err)
		switch {
		case isReply(err):
			return err
		case err != nil && !errors.Is(err, replay.ErrLost):
			return nil
		}
	}
	return nil
}

// duties are all those of a client, by the tokens of their claims.
type duties struct {
	mu      sync.Mutex
	owed    map[token]*duty
	refused error     // what the server says to a duty that it does not take
	ends    time.Time // zero: not yet
}

// admit takes the duty of a new claim, unless the server takes claims and lets none
// be finished, as where the user may SET and not EVAL: they would pile up.
func (s *duties) admit(d *duty) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused != nil {
		return s.refused
	}
	if len(s.owed) >= maxDuties {
		return errDuties
	}
	s.owed[d.claim.Token] = d
	return nil
}

// put makes d the duty of its claim, if there is room.
func (s *duties) put(d *duty) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.owed[d.claim.Token]; !ok && len(s.owed) >= maxDuties {
		return false
	}
	s.owed[d.claim.Token] = d
	return true
}

// drop forgets d, unless the claim has another duty by now.
func (s *duties) drop(d *duty) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owed[d.claim.Token] == d {
		delete(s.owed, d.claim.Token)
	}
}

// settle is told how it went.
func (s *duties) settle(d *duty, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.owed[d.claim.Token] != d: // the claim has another duty by now
	case errors.Is(err, replay.ErrLost), err == nil && !d.until.IsZero():
		delete(s.owed, d.claim.Token)
	case err != nil:
		d.due, d.failed = time.Now(), err
		if isReply(err) {
			s.refused = err
		}
	default:
		d.due = time.Now().Add(d.claim.Lease / 3)
	}
}

// due returns what is to be done now, and what it is too late for.
func (s *duties) due(now time.Time) (due, late []*duty) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, d := range s.owed {
		switch {
		case !d.until.IsZero() && now.After(d.until):
			late = append(late, d)
			delete(s.owed, token)
		case !now.Before(d.due):
			due = append(due, d)
		}
	}
	return due, late
}

// refuse lets no claim in for as long as err is not nil.
func (s *duties) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = err
}

// end says when no new claims come any more.
func (s *duties) end(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = at
}

func (s *duties) over(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ends.IsZero() && now.After(s.ends) && len(s.owed) == 0
}

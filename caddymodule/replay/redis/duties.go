package redis

import (
	"cmp"
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

// maxDuties bounds the duties that are kept for one master that does not accept them. A
// duty takes a few hundred bytes.
const maxDuties = 1 << 16

var errDuties = errors.New("too many deliveries are under way or could not be finished; nothing new is claimed")

type token = [16]byte

// A duty is a command that is owed to the server: to renew a claim while its delivery is
// under way, or to finish a claim after the first attempt failed. A claim has one duty at
// a time.
type duty struct {
	claim  replay.Claim
	node   *node // that its key belongs to, as far as is known
	script string
	args   []any
	due    time.Time
	until  time.Time    // when to give up; zero: a renewal, which ends with its delivery
	tells  replay.State // the state for a repetition meanwhile; Unknown: ask the server
	failed error        // the last failure
}

func (d *duty) renews() bool { return d.until.IsZero() }

func (d *duty) releases() bool { return d.script == releaseScript }

// after orders duties: first those that keep claims alive, last those that the server has
// rejected, so that they do not hold up the others.
func (d *duty) after(other *duty) int {
	rejected := func(d *duty) int { return ordinal(isReply(d.failed)) }
	return cmp.Or(rejected(d)-rejected(other), ordinal(!d.renews())-ordinal(!other.renews()), d.due.Compare(other.due))
}

func ordinal(last bool) int {
	if last {
		return 1
	}
	return 0
}

// renewal makes the duty to renew a claim. A third of the lease leaves time for two
// failures.
func (c *client) renewal(claim replay.Claim) *duty {
	return &duty{
		claim: claim, node: c.node(context.Background(), c.key(claim)), script: renewScript, args: []any{value("claimed", claim), claim.Lease.Milliseconds()},
		due: time.Now().Add(claim.Lease / 3),
	}
}

// committing makes the duty to commit a claim, which is retried until the window ends.
func (c *client) committing(claim replay.Claim, window time.Duration) *duty {
	window = time.Duration(limits.Window.Clamp(int64(window)))
	d := c.finishing(claim, window, commitScript, value("claimed", claim), value("done", claim), window.Milliseconds())
	d.tells = replay.Done
	return d
}

// releasing makes the duty to release a claim, which is retried until its lease would
// expire anyway.
func (c *client) releasing(claim replay.Claim) *duty {
	return c.finishing(claim, claim.Lease, releaseScript, value("claimed", claim))
}

func (c *client) finishing(claim replay.Claim, worth time.Duration, script string, args ...any) *duty {
	now, n := time.Now(), c.node(context.Background(), c.key(claim))
	return &duty{claim: claim, node: n, script: script, args: args, due: now.Add(openFor + c.config.timeout), until: now.Add(worth)}
}

func (c *client) givenUp(d *duty) {
	c.logger().Error("gave up on a claim that redis did not finish; the app may get its delivery again", zap.Time("claimed", d.claim.At), zap.Error(d.failed))
}

// work does the duties that are due, until no new ones can come.
func (c *client) work() {
	for now := range time.Tick(openFor) {
		due, late := c.duties.due(now)
		for _, d := range late {
			c.givenUp(d)
		}
		c.round(now, due)
		if c.duties.over(now) {
			_ = c.redis.Close()
			_, _ = ledgers.Delete(c.config.server())
			return
		}
	}
}

// round has the duties of each master done, each in its own time: one that hangs does not
// keep the others from renewing claims.
func (c *client) round(now time.Time, due []*duty) {
	byNode := make(map[*node][]*duty)
	for _, d := range due {
		n := c.node(context.Background(), c.key(d.claim)) // a failover or new slots may have changed it
		c.duties.move(d, n)
		byNode[n] = append(byNode[n], d)
	}
	for _, n := range c.nodes.all(now, c.duties.idle) {
		switch {
		case !n.busy.CompareAndSwap(false, true):
			continue
		case len(byNode[n]) == 0:
			c.duties.refuse(n, nil)
			n.busy.Store(false)
			continue
		}
		go func() {
			defer n.busy.Store(false)
			c.duties.refuse(n, c.serve(byNode[n]))
		}()
	}
}

// maxRejected bounds how many duties of a round a server may reject.
const maxRejected = 16

// serve does duties of one master until one fails, or for as long as a round takes: then
// the renewals that are due by now come first again. It returns the server's reply if the
// server rejects a duty.
func (c *client) serve(due []*duty) (refused error) {
	slices.SortFunc(due, (*duty).after)
	rejected := 0
	for start := time.Now(); len(due) > 0 && time.Since(start) < openFor && rejected < maxRejected; due = due[1:] {
		d := due[0]
		err := c.eval(context.Background(), d)
		if c.duties.settle(d, err) {
			c.duties.undo(d, c.releasing(d.claim))
		}
		switch {
		case isReply(err):
			refused = err
			rejected++
		case err != nil && !errors.Is(err, replay.ErrLost):
			return refused
		}
	}
	return refused
}

// maxWaiting bounds how many claims of one delivery wait for the server at once. Each is
// compared with the others, so a flood of one captured delivery would cost the square of
// its size while the server is slow.
const maxWaiting = 64

// A ledger holds what this process owes to one server, by the keys of deliveries. A
// server that was away for longer than a lease no longer knows which deliveries are under
// way here and which the app has accepted; the ledger does. Clients with different
// passwords or timeouts share it, because a reload replaces one client with the other.
type ledger struct {
	mu   sync.Mutex
	keys map[replay.Key][]*duty
}

// ledgers are the ledgers of the process, by server.
var ledgers = caddy.NewUsagePool()

func newLedger() *ledger { return &ledger{keys: make(map[replay.Key][]*duty)} }

// Destruct implements caddy.Destructor.
func (*ledger) Destruct() error { return nil }

// known returns what other claims here tell about a delivery, without asking the server.
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

// duties are the duties of a client, by the tokens of their claims. The mutex of the
// ledger guards them.
type duties struct {
	ledger *ledger
	owed   map[token]*duty
	ends   time.Time // when no new claims can come; zero: not known yet
}

func newDuties(l *ledger) duties { return duties{ledger: l, owed: make(map[token]*duty)} }

func (s *duties) set(d *duty) {
	s.remove(s.owed[d.claim.Token])
	s.owed[d.claim.Token] = d
	d.node.owed++
	s.ledger.enter(d)
}

func (s *duties) remove(d *duty) {
	if d != nil {
		delete(s.owed, d.claim.Token)
		d.node.owed--
		s.ledger.strike(d)
	}
}

// admit takes the renewal of a new claim. If this process already knows the state of the
// delivery, admit returns that instead. It fails while the server rejects duties: a user
// who may SET but not EVAL could claim and never finish, and claims would pile up.
func (s *duties) admit(d *duty) (replay.State, time.Time, error) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if state, first := s.ledger.known(d.claim); state != replay.Unknown {
		return state, first, nil
	}
	if waiting := s.ledger.keys[d.claim.Key]; len(waiting) >= maxWaiting {
		return replay.InFlight, waiting[0].claim.At, nil
	}
	if d.node.refused != nil {
		return replay.Unknown, time.Time{}, d.node.refused
	}
	if d.node.owed >= maxDuties {
		return replay.Unknown, time.Time{}, errDuties
	}
	s.set(d)
	return replay.Fresh, time.Time{}, nil
}

// confirm records that the server has granted the claim. The server may grant a delivery
// twice, if one lease expires before its answer arrives. Then the claim that is confirmed
// first holds, and the other one gets the state of the first.
func (s *duties) confirm(d *duty) (replay.State, time.Time) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if state, first := s.ledger.known(d.claim); state != replay.Unknown {
		return state, first
	}
	d.tells = replay.InFlight
	return replay.Fresh, time.Time{}
}

// releases returns the releases that the server needs before it can grant the claim.
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
	if _, ok := s.owed[d.claim.Token]; !ok && d.node.owed >= maxDuties {
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

// settle records the result of a duty. It reports whether a renewal came too late, after
// its claim was finished, and so may have brought back a claim that was released.
func (s *duties) settle(d *duty, err error) (late bool) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	now := time.Now()
	switch {
	case s.owed[d.claim.Token] != d: // the claim has another duty by now
		return d.renews()
	case errors.Is(err, replay.ErrLost) && d.renews(): // the delivery is still under way, and the key may become free
		d.due = now.Add(d.claim.Lease / 3)
	case errors.Is(err, replay.ErrLost), err == nil && !d.renews():
		s.remove(d)
	case err != nil:
		d.due, d.failed = now, err
		if isReply(err) {
			d.node.refused = err
		}
	default:
		d.due = now.Add(d.claim.Lease / 3)
	}
	return false
}

// undo adds a release after a renewal that came too late. A commit needs none, because it
// replaces the claim.
func (s *duties) undo(renewal, release *duty) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if d := s.owed[renewal.claim.Token]; d == nil || d.releases() {
		s.set(release)
	}
}

// due returns the duties to do now, and removes and returns those to give up.
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

// refuse lets admit fail with err for the deliveries of a master, until it is called with
// nil.
func (s *duties) refuse(n *node, err error) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	n.refused = err
}

// move makes d a duty of another master.
func (s *duties) move(d *duty, n *node) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	if s.owed[d.claim.Token] == d && d.node != n {
		d.node.owed--
		n.owed++
		d.node = n
	}
}

// idle reports whether nothing is owed to a master.
func (s *duties) idle(n *node) bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return n.owed == 0
}

// end sets the time after which no new claims come.
func (s *duties) end(at time.Time) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ends = at
}

// over reports whether nothing is left to do and nothing new can come.
func (s *duties) over(now time.Time) bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return !s.ends.IsZero() && now.After(s.ends) && len(s.owed) == 0
}

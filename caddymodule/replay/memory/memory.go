// Package memory is a replay store in the memory of the process, for one gateway.
package memory

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
)

func init() { caddy.RegisterModule(Memory{}) }

// defaultMaxEntries is enough for one delivery a second for more than a day. An entry
// takes about 200 bytes.
const defaultMaxEntries = 100_000

// Memory remembers deliveries in the memory of this process, for one gateway. They
// survive a reload, but not a restart. Gates with the same name share them.
type Memory struct {
	// The most deliveries to remember. Beyond that, the store forgets the oldest one
	// before its window ends, and `caddy_webhook_auth_replay_evictions_total` counts it.
	// Default: 100,000, at most 100,000,000.
	MaxEntries int `json:"max_entries,omitempty"`

	gate  string
	shelf *shelf // nil until opened
}

// shelves are the stores of the process by gate. They are kept across reloads, because a
// new configuration starts before the old one stops.
var shelves = caddy.NewUsagePool()

// evictions is shared by the whole process. Each configuration has its own registry and
// registers it there.
var evictions = prometheus.NewCounter(prometheus.CounterOpts{
	Name: "caddy_webhook_auth_replay_evictions_total",
	Help: "Deliveries that the full memory store of the replay guard forgot before their window ended.",
})

// CaddyModule returns the Caddy module information.
func (Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: replay.Namespace + ".memory", New: func() caddy.Module { return new(Memory) }}
}

// Provision sets the default and registers the metric of evictions.
func (m *Memory) Provision(ctx caddy.Context) error {
	if err := limits.MaxEntries.Check(int64(m.MaxEntries)); err != nil {
		return err
	}
	m.MaxEntries = cmp.Or(m.MaxEntries, defaultMaxEntries)
	err := ctx.GetMetricsRegistry().Register(evictions)
	if _, registered := errors.AsType[prometheus.AlreadyRegisteredError](err); registered {
		return nil
	}
	return err
}

// Open returns the store of the gate, which it shares with other configurations.
func (m *Memory) Open(gate string) (replay.Store, error) {
	shared, _, err := shelves.LoadOrNew(gate, func() (caddy.Destructor, error) { return newShelf(), nil })
	if err != nil {
		return nil, err
	}
	m.gate, m.shelf = gate, shared.(*shelf)
	m.shelf.enter(m.MaxEntries)
	return m.shelf, nil
}

// Cleanup gives the store back.
func (m *Memory) Cleanup() error {
	if m.shelf == nil {
		return nil
	}
	m.shelf.leave(m.MaxEntries)
	_, err := shelves.Delete(m.gate)
	return err
}

// UnmarshalCaddyfile reads the store in a Caddyfile:
//
//	store memory {
//	    max_entries <n>
//	}
func (m *Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the store's name
	block := options.Start(d)
	if len(block.Arguments()) > 0 {
		block.Add(errors.New("it takes a block and no further argument"))
	}
	block.Read(options.Table{Of: "store memory", Options: map[string]func(options.Line) error{
		"max_entries": options.Number(&m.MaxEntries, limits.MaxEntries, "100000"),
	}})
	return block.Err("memory")
}

// A shelf is the store. Claims are not entries, so that no other delivery can evict one
// that is under way. They need no lease, because the process that makes a claim always
// finishes it, and if it dies, the shelf is gone too.
type shelf struct {
	mu      sync.Mutex
	limits  []int                       // of the configurations that use it
	limit   int                         // the largest of them, or the last one that there was
	claimed map[replay.Key]replay.Claim // the deliveries under way
	owners  map[string]*entries         // without tenants there is one, without a name
	count   int                         // of the entries of all
	swept   time.Duration               // when the entries of all were last looked through
	last    *entries                    // that had more than its share
}

// entries are the deliveries that the app accepted of one owner, the oldest first.
type entries = simplelru.LRU[replay.Key, entry]

// An entry is a delivery that the app accepted. It has no pointer, so that the garbage
// collector has less to do.
type entry struct {
	first int64         // when the claim was made, in nanoseconds since 1970
	ends  time.Duration // on the clock of this process, which nobody sets
}

var start = time.Now()

func clock() time.Duration { return time.Since(start) }

func newShelf() *shelf {
	return &shelf{claimed: make(map[replay.Key]replay.Claim), owners: make(map[string]*entries)}
}

// Destruct implements caddy.Destructor. It frees nothing, because deliveries of an old
// configuration may still finish here; after that the garbage collector takes the shelf.
func (s *shelf) Destruct() error { return nil }

func (s *shelf) enter(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = append(s.limits, limit)
	s.resize()
}

func (s *shelf) leave(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.limits, limit); i >= 0 {
		s.limits = slices.Delete(s.limits, i, i+1)
	}
	if len(s.limits) > 0 {
		s.resize()
	}
}

// resize evicts only what does not fit. A configuration that fails to load shares the
// shelf for a moment, and can only make it larger.
func (s *shelf) resize() {
	s.limit = slices.Max(s.limits)
	s.sweepAll(clock())
	s.makeRoom("")
}

// Claim implements Store.
func (s *shelf) Claim(_ context.Context, c replay.Claim) (replay.State, time.Time, error) {
	now := clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.claimed[c.Key]; ok {
		return replay.InFlight, held.At, nil
	}
	if own := s.owners[c.Owner]; own != nil {
		if taken, ok := own.Peek(c.Key); ok && now < taken.ends {
			return replay.Done, time.Unix(0, taken.first), nil
		}
	}
	s.claimed[c.Key] = c
	return replay.Fresh, time.Time{}, nil
}

// Commit implements Store.
func (s *shelf) Commit(_ context.Context, c replay.Claim, window time.Duration) error {
	now := clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.claimed[c.Key]; ok && held.Token != c.Token {
		return replay.ErrLost
	}
	delete(s.claimed, c.Key)
	window = time.Duration(limits.Window.Clamp(int64(window))) // now + window does not overflow
	s.add(c, entry{first: c.At.UnixNano(), ends: now + window})
	s.sweep(c.Owner, now)
	if s.count > s.limit && now-s.swept > time.Second {
		s.sweepAll(now)
	}
	s.makeRoom(c.Owner)
	return nil
}

func (s *shelf) add(c replay.Claim, e entry) {
	own := s.owners[c.Owner]
	if own == nil {
		own, _ = simplelru.NewLRU[replay.Key, entry](math.MaxInt, nil) // a size above zero is no error
		s.owners[c.Owner] = own
	}
	if !own.Contains(c.Key) {
		s.count++
	}
	own.Add(c.Key, e)
}

// Release implements Store.
func (s *shelf) Release(_ context.Context, c replay.Claim) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed[c.Key].Token == c.Token {
		delete(s.claimed, c.Key)
	}
	return nil
}

// sweep forgets the entries of an owner whose window has ended, the oldest first. After a
// reload with a shorter window it may stop early, and forgets the rest later.
func (s *shelf) sweep(owner string, now time.Duration) {
	for own := s.owners[owner]; own != nil; {
		_, oldest, ok := own.GetOldest()
		if !ok {
			delete(s.owners, owner)
			return
		}
		if now < oldest.ends {
			return
		}
		s.forget(own)
	}
}

func (s *shelf) sweepAll(now time.Duration) {
	s.swept = now
	for owner := range s.owners {
		s.sweep(owner, now)
	}
}

func (s *shelf) forget(own *entries) {
	own.RemoveOldest()
	s.count--
}

// makeRoom evicts what does not fit: the oldest entry of the owner that brought the last
// one, if it has more than its share, and otherwise of another one that has more. So none
// drives out the others.
func (s *shelf) makeRoom(owner string) {
	for s.count > s.limit {
		share := max(1, s.limit/len(s.owners)) // with none, each would forget what it brings
		own := s.owners[owner]
		if own == nil || own.Len() <= share {
			own = s.over(share, owner)
		}
		s.forget(own)
		evictions.Inc()
	}
}

// over returns an owner that has more than its share, or any other one if there are more
// owners than entries may be. It does not look for the largest, which takes as long as there
// are owners.
func (s *shelf) over(share int, except string) (found *entries) {
	if s.last != nil && s.last.Len() > share {
		return s.last
	}
	for name, own := range s.owners {
		if own.Len() > share {
			s.last = own
			return own
		}
		if name != except && own.Len() > 0 {
			found = own
		}
	}
	return found
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Memory)(nil)
	_ caddy.CleanerUpper    = (*Memory)(nil)
	_ caddyfile.Unmarshaler = (*Memory)(nil)
	_ replay.Opener         = (*Memory)(nil)
	_ replay.Store          = (*shelf)(nil)
)

package redis

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
)

const (
	// tripAfter is how many failures in a row open the circuit.
	tripAfter = 3
	// openFor is how long the circuit stays open before one command tries again. So a
	// dead server costs one timeout a second, and not one for each delivery.
	openFor = time.Second
	// forgetAfter is how long an address of a cluster is known that is used no more. In
	// Kubernetes every restart of a pod brings a new one.
	forgetAfter = 10 * time.Minute
)

// A node is what this process knows about one master: whether it answers, what it owes to
// it, and whether it takes that. Each has its own, so that one dead master of a cluster
// costs the deliveries of its own slots and no others.
type node struct {
	address    string
	circuit    *gobreaker.CircuitBreaker[any]
	replicas   replicas
	epoch      atomic.Uint64                // counts how often it was away
	connection atomic.Pointer[redis.Client] // of a node of a cluster
	busy       atomic.Bool                  // its duties are being done
	used       atomic.Bool                  // since the last time that unused ones were forgotten

	// The mutex of the ledger guards what follows.
	owed    int   // duties
	refused error // the server's reply to a duty that it rejects
}

// nodes are the masters of a store, by address. A single server is one, and so is the
// master that Sentinel watches, whatever its address is at the moment. In a cluster, the
// one without an address stands for masters that are not known yet.
type nodes struct {
	single *node // nil for a cluster
	make   func(address string) *node

	mu     sync.RWMutex
	known  map[string]*node
	swept  time.Time
	mapped atomic.Bool // the map of the cluster is known
}

func newNodes(cluster bool, create func(address string) *node) *nodes {
	s := &nodes{make: create, known: make(map[string]*node), swept: time.Now()}
	if !cluster {
		s.single = s.of("")
	}
	return s
}

// of returns the node with an address.
func (s *nodes) of(address string) *node {
	if s.single != nil {
		return s.single
	}
	s.mu.RLock()
	n := s.known[address]
	s.mu.RUnlock()
	if n == nil {
		n = s.add(address)
	}
	if !n.used.Load() {
		n.used.Store(true)
	}
	return n
}

func (s *nodes) add(address string) *node {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[address] == nil {
		s.known[address] = s.make(address)
	}
	return s.known[address]
}

// all returns all nodes. From time to time it forgets those that idle says nothing is owed
// to and that were not used meanwhile.
func (s *nodes) all(now time.Time, idle func(*node) bool) (all []*node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sweep := s.single == nil && now.Sub(s.swept) > forgetAfter
	if sweep {
		s.swept = now
	}
	for address, n := range s.known {
		if sweep && !n.used.Swap(false) && idle(n) {
			delete(s.known, address)
			continue
		}
		all = append(all, n)
	}
	return all
}

// newNode makes a node with a closed circuit.
func (c *client) newNode(address string) *node {
	n := &node{address: address}
	n.circuit = newCircuit(tripAfter, isAnswer, isForeign, func(open bool) {
		if open {
			n.epoch.Add(1)
			c.tell(n).Error("the redis store is away; retrying once a second")
		} else {
			c.tell(n).Info("the redis store is back")
		}
	})
	n.replicas = c.newReplicas(n)
	return n
}

// newCircuit makes a circuit breaker that opens after some failures in a row. Errors that
// skip does not count say nothing. turn is told when it opens, and when it is closed again.
func newCircuit(failures uint32, success, skip func(error) bool, turn func(open bool)) *gobreaker.CircuitBreaker[any] {
	return gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Timeout:      openFor,
		ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= failures },
		IsSuccessful: success,
		IsExcluded:   func(err error) bool { return err != nil && skip(err) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed || to == gobreaker.StateClosed {
				turn(to != gobreaker.StateClosed)
			}
		},
	})
}

// isReply reports whether err is the server's answer to the command: it works and says no.
func isReply(err error) bool {
	_, ok := errors.AsType[redis.Error](err)
	return ok && !isDown(err)
}

// down is how the replies begin of a server that cannot serve at the moment: it is a replica
// now, or starts, or has lost its master, its replicas or its cluster, or is not the one to
// ask. Waiting helps, so they are as good as no answer, and no reason to reject new claims.
var down = []string{"READONLY ", "LOADING ", "MASTERDOWN ", "NOREPLICAS ", "CLUSTERDOWN ", "TRYAGAIN ", "MOVED ", "ASK "}

func isDown(err error) bool {
	return slices.ContainsFunc(down, func(prefix string) bool { return redis.HasErrorPrefix(err, prefix) })
}

// isAnswer reports whether the server works. A reply that is an error costs no timeout.
func isAnswer(err error) bool { return err == nil || isReply(err) }

// isForeign reports whether an error says nothing about the node that was asked. If no
// node serves a slot, go-redis asks any, which must not open the circuit for its own slots.
func isForeign(err error) bool { return redis.HasErrorPrefix(err, "CLUSTERDOWN Hash slot not served") }

// unsent reports whether a circuit did not let the command through.
func unsent(err error) bool {
	return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) || errors.Is(err, errUnasked)
}

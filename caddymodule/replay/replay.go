// Package replay remembers which deliveries have reached the app, so that none
// reaches it twice. A store knows keys and times, and never sees a request or a
// signature.
//
// A gate claims a delivery before it hands it on. If the app accepts the delivery, the
// gate commits the claim, and the store remembers the key for a window. If not, the gate
// releases the claim, and the sender's next attempt passes. A gateway renews the claims
// of deliveries under way. A store that outlives its gateway ends a claim that is not
// renewed when its lease expires, so that a delivery is late and not lost when a gateway
// dies.
package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
)

// Namespace is the namespace of the modules that provide stores.
const Namespace = "http.webhook_auth.replay"

// A Key identifies one delivery at one gate. It is a keyed digest: someone who reads the
// store can neither sign with it nor find out what was delivered.
type Key [32]byte

// A Claim is one attempt to hand a delivery on.
type Claim struct {
	Key   Key
	Token [16]byte      // random for each attempt, so that only its maker can finish a claim
	At    time.Time     // when it was made
	Owner string        // the tenant that it is for, if there are any: a full store takes no room from one for another
	Lease time.Duration // how long it outlives its gateway, at most a day and a minute
}

// NewClaim returns a claim with its own token. A lease below the shortest one becomes
// that: with a lease of zero, some stores would not keep a claim at all, and others for
// ever.
func NewClaim(key Key, lease time.Duration) Claim {
	c := Claim{Key: key, At: time.Now(), Lease: time.Duration(limits.Lease.Clamp(int64(lease)))}
	_, _ = rand.Read(c.Token[:]) // it never fails
	return c
}

// A State is what a store knows about a delivery.
type State uint8

// The states.
const (
	Unknown  State = iota // always with an error: the store does not know
	Fresh                 // the claim holds: there is no other one, and the app has not accepted the delivery
	InFlight              // another claim holds
	Done                  // the app has accepted the delivery
)

// A Store keeps claims. Any number of goroutines may call its methods at any time. A
// method returns soon, without waiting for its context to end.
type Store interface {
	// Claim claims a delivery if it is fresh, and keeps the claim until it is committed
	// or released, however long that takes. If the delivery is not fresh, first is the
	// time of the claim that holds or was committed. After an error, the caller need not
	// finish the claim.
	Claim(ctx context.Context, c Claim) (state State, first time.Time, err error)

	// Commit remembers for a window, from a second to 366 days, that the app accepted
	// the delivery. It does so even if the store has forgotten the claim, but returns
	// ErrLost if another claim has taken its place. Commit and Release retry in the
	// background while the store cannot be reached.
	Commit(ctx context.Context, c Claim, window time.Duration) error

	// Release forgets the claim, unless another one has taken its place.
	Release(ctx context.Context, c Claim) error
}

// ErrLost is the error of a Commit after the lease has expired and someone else has
// claimed the delivery.
var ErrLost = errors.New("the lease of the claim has expired, and the delivery was claimed again")

// An Opener is a module that provides a store. Open is called once, after Provision, with
// the name of the gate.
type Opener interface {
	Open(gate string) (Store, error)
}

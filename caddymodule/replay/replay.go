// Package replay remembers which deliveries have reached the app, so that none
// reaches it twice. It knows keys and times; it sees neither requests nor
// signatures.
//
// A gate claims a delivery before it hands it on. If the app takes it, the gate
// commits the claim, and the key is remembered for a window; if not, it releases
// the claim, and the sender's next attempt passes. A store that outlives its gateway
// ends a claim by itself, when its lease does, unless the gateway renews it: where a
// gateway dies, a delivery is late, and not lost.
package replay

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
)

// Namespace is where the modules of stores are registered.
const Namespace = "http.webhook_auth.replay"

// A Key stands for one delivery at one gate. It is a keyed digest: a store, and
// whoever reads it, can neither sign with it nor tell what was delivered.
type Key [32]byte

// A Claim is one attempt to hand a delivery on.
type Claim struct {
	Key   Key
	Token [16]byte      // of this attempt alone: only who made a claim can finish it
	At    time.Time     // when it was made
	Lease time.Duration // how long it outlives its gateway, at most a day and a minute
}

// NewClaim returns a claim with a token of its own. A lease that is not above zero
// would be none in some stores, and hold for ever in others; it is the shortest one.
func NewClaim(key Key, lease time.Duration) Claim {
	c := Claim{Key: key, At: time.Now(), Lease: time.Duration(limits.Lease.Clamp(int64(lease)))}
	_, _ = rand.Read(c.Token[:]) // it never fails
	return c
}

// Ends is when the lease does that is not renewed.
func (c Claim) Ends() time.Time { return c.At.Add(c.Lease) }

// A State is what a store knows of a delivery.
type State uint8

// The states. A store that does not know returns an error and no state.
const (
	Unknown  State = iota
	Fresh          // the claim holds: nobody else has one, and the app has not taken the delivery
	InFlight       // another claim holds
	Done           // the app has taken the delivery
)

// A Store keeps claims. Its methods may be called at any time by any number of
// goroutines, and return soon, by themselves.
type Store interface {
	// Claim claims a delivery, if it is fresh, and keeps the claim until it is
	// finished, however long that takes. Otherwise it says when the claim was made
	// that stands in the way. After an error nobody has to finish the claim.
	Claim(ctx context.Context, c Claim) (state State, first time.Time, err error)

	// Commit remembers for a window, from a second to 366 days, that the app took the
	// delivery. If the claim is lost, as when the store forgot it, that is still
	// remembered; the error is ErrLost if another claim has taken its place. A store
	// that cannot be reached is tried again in the background, here and in Release.
	Commit(ctx context.Context, c Claim, window time.Duration) error

	// Release forgets the claim, unless another one has taken its place.
	Release(ctx context.Context, c Claim) error
}

// ErrLost is the error of a Commit that came after the lease had ended and someone
// else had claimed the delivery.
var ErrLost = errLost{}

type errLost struct{}

func (errLost) Error() string { return "the claim has ended, and the delivery was claimed again" }

// An Opener is a module that provides a store. It is opened once, after it was
// provisioned, with the name of the gate that it remembers for.
type Opener interface {
	Open(gate string) (Store, error)
}

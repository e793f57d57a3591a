// Package limits holds the bounds of every time and size in a configuration. A value
// beyond its limit does not load.
//
// The limits keep sums of times from overflowing: a replay window of 292 years, added to
// now, ends in the past and would switch the replay guard off in silence. They also catch
// slips, above all in JSON, where a time without a unit is in nanoseconds.
//
// The gate checks the replay window itself, so that a store written by someone else
// always gets one within [Window].
package limits

import (
	"strconv"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
)

const day = 24 * time.Hour

// A Limit is the least and the most that an option may be.
type Limit struct {
	option      string
	least, most int64
	text        func(int64) string
}

// The limits.
var (
	// More than any sender sends. The disk is larger than any memory.
	MaxSize = Limit{"max_size", 1, 1 << 40, size}
	// With Ed25519 the whole body is in memory, once more, while it is verified.
	OnePiece     = Limit{"max_size", 1, 16 << 20, size}
	Memory       = Limit{"memory", 1, 1 << 40, size}
	MemoryBudget = Limit{"memory_budget", 1, 1 << 40, size}
	DiskBudget   = Limit{"disk_budget", 1, 1 << 50, size}

	// No sender and no app needs a day. A claim that outlives its gateway holds for
	// delivery_timeout, and the sender's retries fail until it ends.
	BodyTimeout     = Limit{"body_timeout", int64(time.Millisecond), int64(day), duration}
	DeliveryTimeout = Limit{"delivery_timeout", int64(time.Millisecond), int64(day), duration}

	// Package signature has the same limit, and checks it again.
	Tolerance = Limit{"tolerance", int64(time.Millisecond), int64(day), duration}

	// A window under a second guards against nothing. A year is longer than any sender
	// retries and any secret should last.
	Window = Limit{"replay", int64(time.Second), int64(366 * day), duration}

	// Lease is not an option: it is delivery_timeout and some seconds.
	Lease = Limit{"lease", int64(time.Millisecond), int64(day + time.Minute), duration}

	// A second is as often as anyone needs. Beyond a minute the alert on files that cannot be
	// used would come late.
	WatchSecrets = Limit{"watch_secrets", int64(time.Second), int64(time.Minute), duration}

	// An entry takes 200 bytes; a hundred million are 20 GB.
	MaxEntries = Limit{"max_entries", 1, 100_000_000, number}

	// What is captured is refused bodies of 64 KiB, for people to look at.
	Capture = Limit{"capture", 1, 50, number}

	// A delivery waits for the store up to twice this long before it is answered.
	StoreTimeout = Limit{"timeout", int64(time.Millisecond), int64(time.Minute), duration}

	// A master has a few replicas. With a number beyond them nothing would be claimed.
	WaitReplicas = Limit{"wait_replicas", 1, 16, number}
)

// Check reports a value beyond the limit. Zero means the default.
func (l Limit) Check(value int64) error {
	if value == 0 || l.least <= value && value <= l.most {
		return nil
	}
	return mistake.In(l.option, "it must be %s, not %s", l, l.text(value))
}

// String returns the limit as it is written in a Caddyfile: from 1s to 366d.
func (l Limit) String() string { return "from " + l.text(l.least) + " to " + l.text(l.most) }

// Clamp returns the value within the limit that is nearest to value.
func (l Limit) Clamp(value int64) int64 { return min(max(value, l.least), l.most) }

func number(n int64) string { return strconv.FormatInt(n, 10) }

// size formats bytes as in a Caddyfile.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for ; n != 0 && n%1024 == 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return number(n) + units[i]
}

// duration formats whole days, hours and minutes without the trailing zeros of
// time.Duration.
func duration(n int64) string {
	switch d := time.Duration(n); {
	case d > day && d%day == 0:
		return number(int64(d/day)) + "d"
	case d >= time.Hour && d%time.Hour == 0:
		return number(int64(d/time.Hour)) + "h"
	case d >= time.Minute && d%time.Minute == 0:
		return number(int64(d/time.Minute)) + "m"
	default:
		return d.String()
	}
}

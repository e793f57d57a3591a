package spool

import "sync/atomic"

// A Budget bounds what all bodies of a process take together. It outlives a
// configuration: bodies that an old configuration still holds count against the new
// limits. The zero value allows only the first small segment of each body.
type Budget struct {
	Memory Account
	Disk   Account
}

// An Account counts bytes in use against a limit.
type Account struct {
	used  atomic.Int64
	limit atomic.Int64
}

// SetLimit sets the limit in bytes. It takes back nothing that is in use.
func (a *Account) SetLimit(limit int64) { a.limit.Store(limit) }

// Limit returns the limit in bytes.
func (a *Account) Limit() int64 { return a.limit.Load() }

// Used returns the bytes in use.
func (a *Account) Used() int64 { return a.used.Load() }

// take counts n more bytes if they fit, and reports whether they do.
func (a *Account) take(n int64) bool { return a.takeUpTo(n, a.limit.Load()) }

// takeHalf is take within the first half of the limit.
func (a *Account) takeHalf(n int64) bool { return a.takeUpTo(n, a.half()) }

func (a *Account) half() int64 { return a.limit.Load() / 2 }

func (a *Account) takeUpTo(n, most int64) bool {
	if a.used.Add(n) <= most {
		return true
	}
	a.used.Add(-n)
	return false
}

// force counts n more bytes, whether they fit or not.
func (a *Account) force(n int64) { a.used.Add(n) }

func (a *Account) give(n int64) { a.used.Add(-n) }

// Take counts n bytes that are held outside of a body, if they fit.
func (a *Account) Take(n int64) bool { return a.take(n) }

// Force counts n bytes, whatever the limit is: they are bounded elsewhere.
func (a *Account) Force(n int64) { a.force(n) }

// Give gives back what Take counted.
func (a *Account) Give(n int64) { a.give(n) }

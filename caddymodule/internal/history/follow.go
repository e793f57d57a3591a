package history

import (
	"maps"
	"sync/atomic"
)

// maxWaiting is how many entries wait for a follower that reads slowly. What does not fit
// is counted as dropped: no request ever waits for a reader.
const maxWaiting = 256

// maxFollowers bounds what those who follow hold in memory together.
const maxFollowers = 64

// A Follower receives what is added, and entries anew that were diagnosed.
type Follower struct {
	Entries <-chan *Entry
	Evicted Evicted // what had been given up before it came

	entries chan *Entry
	dropped atomic.Int64
}

// Dropped returns how many entries did not fit since it was asked the last time.
func (f *Follower) Dropped() int64 { return f.dropped.Swap(0) }

// Follow returns the entries, oldest first, and a follower of all later ones: between
// the two there is neither a gap nor an entry twice. leave ends it. It returns no follower
// if there are too many.
func (h *History) Follow() (all []*Entry, f *Follower, leave func()) {
	entries := make(chan *Entry, maxWaiting)
	f = &Follower{Entries: entries, entries: entries}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.followers) >= maxFollowers {
		return nil, nil, nil
	}
	f.Evicted = maps.Clone(h.evicted)
	h.followers[f] = true
	return h.all(), f, func() { h.leave(f) }
}

func (h *History) leave(f *Follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.followers, f)
}

// tell hands an entry to all followers that have room for it.
func (h *History) tell(e *Entry) {
	for f := range h.followers {
		select {
		case f.entries <- e:
		default:
			f.dropped.Add(1)
		}
	}
}

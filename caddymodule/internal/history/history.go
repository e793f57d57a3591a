// Package history remembers the last deliveries of the process, for whoever wants to see
// what came and why it was refused. It knows no HTTP and no Caddy, and uses the standard
// library only.
//
// It is bounded twice, in entries and in bytes, and nobody can push out what matters: the
// entries of one gate and one [Class] are a queue of their own, and where room is needed,
// the longest queue gives up its oldest entry. So each of n queues keeps at least 1/n of
// the room, however fast a scanner fills its own.
//
// An entry holds no body, no signature, no secret and no query.
package history

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is kept of texts that a client chooses, in bytes.
const (
	maxMethod      = 16
	maxHost        = 64
	maxPath        = 128
	maxClient      = 48
	maxUserAgent   = 96
	maxContentType = 64
)

// MaxBytes is how much all entries take at most.
const MaxBytes = 2 << 20

// MaxEntries is how many entries there can be: as many as fit, with texts of full length.
const MaxEntries = MaxBytes / 1024

// A Class is what operators look for. Requests without a signature are a class of their
// own, because scanners send many.
type Class uint8

// The classes.
const (
	Accepted Class = iota
	Failed         // authentic, and not taken by the app
	Refused
	Unsigned
	Check // of a sender, which anyone can make
)

// An Entry is one delivery.
type Entry struct {
	ID     string
	Time   time.Time
	Gate   string
	Class  Class
	Result string // as in the metrics
	Reason string
	Status int // of the answer; 0: none

	Method, Host, Path, Client, UserAgent, ContentType string

	Size      int64  // of the body, as far as it was received
	Key       string // the name of the secret, public key or token
	Tenant    string
	Answer    string        // what the app answered, as a class
	Verdict   time.Duration // from the header section to the verdict
	Answered  time.Duration // from the verdict to the app's answer; 0: none
	Diagnosis string
	Hint      string

	recorded Mark
	changed  Mark // when it was recorded, or something was found out later
	bytes    int
}

// A Mark is when something was put into the history: the time in nanoseconds, except that
// of two marks the later one is always larger, also if the clock is set back.
type Mark int64

// MarkOf returns the mark of a time. One that nanoseconds cannot hold is before, or after,
// all others.
func MarkOf(t time.Time) Mark {
	switch {
	case t.Year() < 1970:
		return 0
	case t.Year() > 2261:
		return math.MaxInt64
	}
	return Mark(t.UnixNano())
}

// Time returns the time of a mark.
func (m Mark) Time() time.Time { return time.Unix(0, int64(m)) }

// Recorded returns when the entry was put into the history. It began before, and of two
// entries the one that began first may be recorded last.
func (e *Entry) Recorded() Mark { return e.recorded }

// Changed returns when the entry was recorded, or more was found out about it.
func (e *Entry) Changed() Mark { return e.changed }

// fixed is what an entry takes without its texts: itself, its place in the index, and the
// rounding of the allocator.
const fixed = 512

// own makes one copy of all texts that are parts of a request. A part would keep the whole
// header section alive.
func (e *Entry) own() {
	texts := [...]*string{&e.Method, &e.Host, &e.Path, &e.Client, &e.UserAgent, &e.ContentType, &e.Tenant}
	limits := [...]int{maxMethod, maxHost, maxPath, maxClient, maxUserAgent, maxContentType, maxHost}
	var all strings.Builder
	length := 0
	for i, text := range texts {
		*text = (*text)[:min(len(*text), limits[i])]
		length += len(*text)
	}
	all.Grow(length) // one allocation
	for _, text := range texts {
		all.WriteString(*text)
	}
	rest := all.String()
	for _, text := range texts {
		*text, rest = rest[:len(*text)], rest[len(*text):]
	}
	e.bytes = fixed + all.Len() + len(e.Hint)
}

// A History is used by any number of goroutines.
type History struct {
	mu        sync.Mutex
	limit     int // of entries; 0: off
	last      Mark
	entries   int
	bytes     int
	byID      map[string]*place
	free      *place // the last one that an entry left
	queues    map[key]*queue
	longest   longest
	evicted   Evicted
	followers map[*Follower]bool
}

// A key names a queue.
type key struct {
	gate  string
	class Class
}

// New returns a history of at most that many entries.
func New(limit int) *History {
	h := &History{byID: make(map[string]*place), queues: make(map[key]*queue), evicted: make(Evicted), followers: make(map[*Follower]bool)}
	h.SetLimit(limit)
	return h
}

// SetLimit changes how many entries are kept. 0 keeps and takes none.
func (h *History) SetLimit(limit int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limit = min(limit, MaxEntries)
	h.shrink()
}

// Add takes an entry, whose texts may be parts of a request.
func (h *History) Add(e *Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limit == 0 {
		return
	}
	e.own()
	e.recorded = h.mark()
	e.changed = e.recorded
	h.byID[e.ID] = h.queue(key{e.Gate, e.Class}).push(&h.longest, h.newPlace(e))
	h.entries, h.bytes = h.entries+1, h.bytes+e.bytes
	h.shrink()
	h.tell(e)
}

func (h *History) mark() Mark {
	h.last = max(h.last+1, MarkOf(time.Now()))
	return h.last
}

// Diagnose adds what was found out about an entry, if it is still there.
func (h *History) Diagnose(id, diagnosis, hint string) {
	h.change(id, func(e *Entry) { e.Diagnosis, e.Hint = diagnosis, hint })
}

// Answer adds what the app answered to an entry that was recorded before it was asked.
func (h *History) Answer(id, answer string, status int, after time.Duration) {
	h.change(id, func(e *Entry) { e.Answer, e.Status, e.Answered = answer, status, after })
}

// change replaces an entry. Whoever has the old one keeps it as it was: what is shown does
// not change.
func (h *History) change(id string, set func(*Entry)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	place := h.byID[id]
	if place == nil {
		return
	}
	old := place.entry
	e := *old
	set(&e)
	e.changed = h.mark()
	e.bytes += len(e.Hint) - len(old.Hint)
	h.bytes += e.bytes - old.bytes
	place.entry = &e
	h.shrink()
	h.tell(&e)
}

// Find returns the entry of that id, or nil.
func (h *History) Find(id string) *Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	if place := h.byID[id]; place != nil {
		return place.entry
	}
	return nil
}

// All returns the entries, oldest first.
func (h *History) All() []*Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all()
}

func (h *History) all() []*Entry {
	all := make([]*Entry, 0, h.entries)
	for _, place := range h.byID {
		all = append(all, place.entry)
	}
	slices.SortFunc(all, func(a, b *Entry) int { return cmp.Compare(a.recorded, b.recorded) })
	return all
}

// shrink takes the oldest entry of the longest queue until all bounds hold.
func (h *History) shrink() {
	for h.entries > h.limit || h.bytes > MaxBytes {
		q := h.longest[0]
		h.free = q.pop(&h.longest)
		e := h.free.entry
		delete(h.byID, e.ID)
		h.entries, h.bytes = h.entries-1, h.bytes-e.bytes
		h.evicted.add(e)
		h.free.entry = nil
		if q.length == 0 {
			heap.Remove(&h.longest, q.place)
			delete(h.queues, q.key)
		}
	}
}

// newPlace returns a place for an entry. A full history takes the one that it last freed.
func (h *History) newPlace(e *Entry) *place {
	p := h.free
	if p == nil {
		p = new(place)
	}
	h.free, p.entry, p.next = nil, e, nil
	return p
}

func (h *History) queue(k key) *queue {
	q := h.queues[k]
	if q == nil {
		q = &queue{key: k}
		h.queues[k] = q
		heap.Push(&h.longest, q)
	}
	return q
}

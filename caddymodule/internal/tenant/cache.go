package tenant

import (
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

// Bounds of the cache.
const (
	maxKnown   = 10_000
	maxUnknown = 4096
	maxReads   = 64 // at the same time

	unknownFor = 2 * time.Second // a new tenant waits no longer than that
	fresh      = 5 * time.Second // until a file is read again, on use
	settle     = time.Second     // for which a file that was written just now has to stay the same
	patience   = time.Second     // with a disk that does not answer
)

// ErrBusy says that the folder does not answer, or that too many files are being read.
var ErrBusy = errors.New("the folder of the tenants does not answer in time")

// A Cache holds what was compiled of the files of tenants. Tenants that are known and names
// that are not have a bound each, so that names that a stranger makes up drive no tenant
// out. Files are read when their tenant is used, so that ten thousand cost nothing at load.
type Cache[T any] struct {
	folder  Folder
	compile func(name, text string) (T, error)
	report  func(name string, err error) // what cannot be used, once for each content

	mu      sync.Mutex
	known   *simplelru.LRU[string, *entry[T]]
	unknown *simplelru.LRU[string, time.Time]
	// how often everything was forgotten
	forgotten int

	reading singleflight.Group
	reads   chan struct{}
}

// An entry is a tenant in use.
type entry[T any] struct {
	value   T
	used    [sha256.Size]byte // of the text that value was made of
	checked time.Time         // when the file was read
	seen    [sha256.Size]byte // another text that was there
	since   time.Time         // when it was first there
	refused bool              // it cannot be used, which was reported
}

// NewCache returns an empty cache.
func NewCache[T any](folder Folder, compile func(name, text string) (T, error), report func(name string, err error)) *Cache[T] {
	c := &Cache[T]{folder: folder, compile: compile, report: report, reads: make(chan struct{}, maxReads)}
	c.known, _ = simplelru.NewLRU[string, *entry[T]](maxKnown, nil) // a size above zero is no error
	c.unknown, _ = simplelru.NewLRU[string, time.Time](maxUnknown, nil)
	return c
}

// Get returns what was made of the file of a tenant, as the file is now, or was within the
// last five seconds.
func (c *Cache[T]) Get(name string) (value T, err error) {
	held, err := c.look(name)
	if err != nil || held != nil && time.Since(held.checked) < fresh {
		return valueOf(held), err
	}
	answer := c.reading.DoChan(name, func() (any, error) { return nil, c.read(name) })
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case done := <-answer:
		err = done.Err
	case <-wait.C:
		err = ErrBusy
	}
	if err != nil && !errors.Is(err, ErrUnknown) && held != nil {
		return held.value, nil // what was good is, until the folder says something else
	}
	if err != nil {
		return value, err
	}
	held, err = c.look(name)
	if held == nil && err == nil {
		err = ErrBusy // it was driven out at once
	}
	return valueOf(held), err
}

func valueOf[T any](e *entry[T]) (value T) {
	if e == nil {
		return value
	}
	return e.value
}

// look returns a copy of what is known of the name: nil if nothing is, [ErrUnknown] if there
// was no such file a moment ago.
func (c *Cache[T]) look(name string) (*entry[T], error) {
	if !IsName(name) {
		return nil, ErrUnknown
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if held, ok := c.known.Get(name); ok {
		copied := *held
		return &copied, nil
	}
	if until, ok := c.unknown.Peek(name); ok && time.Now().Before(until) {
		return nil, ErrUnknown
	}
	return nil, nil
}

// read brings the cache up to date with the file of one tenant.
func (c *Cache[T]) read(name string) error {
	select {
	case c.reads <- struct{}{}:
		defer func() { <-c.reads }()
	default:
		return ErrBusy
	}
	file, err := c.folder.Read(name)
	if err != nil {
		return c.cannotRead(name, err)
	}
	return c.take(name, file)
}

// cannotRead forgets a tenant whose file is gone. One whose file cannot be read stays, as it
// was.
func (c *Cache[T]) cannotRead(name string, err error) error {
	if errors.Is(err, errAway) {
		c.report(name, err)
		return ErrBusy
	}
	if !errors.Is(err, ErrUnknown) {
		return c.refuse(name, sha256.Sum256([]byte(err.Error())), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Remove(name)
	c.unknown.Add(name, time.Now().Add(unknownFor))
	return err
}

// take takes a file that has another text than before, unless that may still be written.
func (c *Cache[T]) take(name string, file File) error {
	sum := sha256.Sum256([]byte(file.Text))
	for {
		stays, made := c.stays(name, sum, file.Written)
		if stays {
			return nil
		}
		value, err := c.compile(name, file.Text)
		if err != nil {
			return c.refuse(name, sum, err)
		}
		if c.store(name, &entry[T]{value: value, used: sum, checked: checkedAt(file.Written)}, made) {
			return nil
		}
	}
}

// stays reports whether the tenant stays as it is, and when everything was forgotten last.
func (c *Cache[T]) stays(name string, sum [sha256.Size]byte, written time.Time) (stays bool, forgotten int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.known.Peek(name)
	if !ok {
		return false, c.forgotten
	}
	if held.used == sum {
		held.checked, held.refused = time.Now(), false
		return true, c.forgotten
	}
	return !held.settled(sum, written), c.forgotten
}

// store keeps an entry, unless everything was forgotten while it was made.
func (c *Cache[T]) store(name string, e *entry[T], made int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten != made {
		return false
	}
	c.known.Add(name, e)
	c.unknown.Remove(name)
	return true
}

// checkedAt has a file that was written just now read again soon: it may be one half.
func checkedAt(written time.Time) time.Time {
	now := time.Now()
	if now.Sub(written) < settle {
		return now.Add(settle - fresh)
	}
	return now
}

// settled reports whether another text counts: it was written some time ago, as a file that
// was renamed into its place, or it has stayed the same. If not, it is looked at again soon.
func (e *entry[T]) settled(sum [sha256.Size]byte, written time.Time) bool {
	now := time.Now()
	if e.seen != sum {
		e.seen, e.since, e.refused = sum, now, false
	}
	if now.Sub(written) >= settle || now.Sub(e.since) >= settle {
		return true
	}
	e.checked = now.Add(settle - fresh)
	return false
}

// refuse reports a text that cannot be used. A tenant that is in use stays as it was.
func (c *Cache[T]) refuse(name string, sum [sha256.Size]byte, err error) error {
	inUse, isNew := c.refused(name, sum)
	if isNew {
		c.report(name, err)
	}
	if inUse {
		return nil
	}
	return ErrUnknown
}

func (c *Cache[T]) refused(name string, sum [sha256.Size]byte) (inUse, isNew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.known.Peek(name)
	if !ok {
		c.unknown.Add(name, time.Now().Add(unknownFor))
		return false, true
	}
	isNew = held.seen != sum || !held.refused
	held.seen, held.refused, held.checked = sum, true, time.Now()
	return true, isNew
}

// Forget has every file read again.
func (c *Cache[T]) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	c.known.Purge()
	c.unknown.Purge()
}

// Len is how many tenants are in use.
func (c *Cache[T]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known.Len()
}

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
	unknown *simplelru.LRU[string, absence]
	judged  int       // how often the rules changed, see Judge
	away    time.Time // when it was last reported that the folder is

	reading singleflight.Group
	// Tenants in use have places of their own: strangers whose names keep a slow disk busy
	// must not keep a removed secret in use.
	reads, rereads chan struct{}
}

// An absence is a name without a tenant.
type absence struct {
	until   time.Time
	refused [sha256.Size]byte // the text that cannot be used, which was reported; zero: there is no file
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
	c := &Cache[T]{folder: folder, compile: compile, report: report, reads: make(chan struct{}, maxReads), rereads: make(chan struct{}, maxReads)}
	c.known, _ = simplelru.NewLRU[string, *entry[T]](maxKnown, nil) // a size above zero is no error
	c.unknown, _ = simplelru.NewLRU[string, absence](maxUnknown, nil)
	return c
}

// Get returns what was made of the file of a tenant, as the file is now, or was within the
// last five seconds.
func (c *Cache[T]) Get(name string) (value T, err error) {
	held, err := c.look(name)
	if err != nil || held != nil && time.Since(held.checked) < fresh {
		return valueOf(held), err
	}
	places := c.reads
	if held != nil {
		places = c.rereads
	}
	answer := c.reading.DoChan(name, func() (any, error) { return nil, c.read(name, places) })
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case done := <-answer:
		err = done.Err
	case <-wait.C:
		err = ErrBusy
	}
	if err != nil && !errors.Is(err, ErrUnknown) && held != nil {
		c.later(name)
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
	if gone, ok := c.unknown.Peek(name); ok && time.Now().Before(gone.until) {
		return nil, ErrUnknown
	}
	return nil, nil
}

// later has a tenant in use served as it is for a moment: not each of its deliveries waits
// for a folder that does not answer.
func (c *Cache[T]) later(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held, ok := c.known.Peek(name); ok {
		held.checked = time.Now().Add(settle - fresh)
	}
}

// read brings the cache up to date with the file of one tenant.
func (c *Cache[T]) read(name string, places chan struct{}) error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-time.After(patience): // for which the request waits, too
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
		c.reportAway(name, err)
		return ErrBusy
	}
	if !errors.Is(err, ErrUnknown) {
		return c.refuse(name, sha256.Sum256([]byte(err.Error())), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known.Remove(name)
	c.unknown.Add(name, absence{until: time.Now().Add(unknownFor)})
	return err
}

// reportAway does so no more often than a tenant in use is read again: each request meets it.
func (c *Cache[T]) reportAway(name string, err error) {
	c.mu.Lock()
	known := time.Since(c.away) < fresh
	if !known {
		c.away = time.Now()
	}
	c.mu.Unlock()
	if !known {
		c.report(name, err)
	}
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

// stays reports whether the tenant stays as it is, and which rules what is made now meets.
func (c *Cache[T]) stays(name string, sum [sha256.Size]byte, written time.Time) (stays bool, judged int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, ok := c.known.Peek(name)
	if !ok {
		return false, c.judged
	}
	if held.used == sum {
		held.checked, held.refused = time.Now(), false
		return true, c.judged
	}
	return !held.settled(sum, written), c.judged
}

// store keeps an entry, unless the rules changed while it was made.
func (c *Cache[T]) store(name string, e *entry[T], made int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.judged != made {
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
		before, _ := c.unknown.Peek(name)
		c.unknown.Add(name, absence{time.Now().Add(unknownFor), sum})
		return false, before.refused != sum
	}
	isNew = held.seen != sum || !held.refused
	held.seen, held.refused, held.checked = sum, true, time.Now()
	return true, isNew
}

// Judge is called when the rules for what may be in the files have changed. It drops the
// tenants that meet them no longer. The others stay, also where their file cannot be used now.
func (c *Cache[T]) Judge(allowed func(T) bool) {
	for name, held := range c.inUse() {
		if allowed(held.value) {
			continue
		}
		c.mu.Lock()
		if now, ok := c.known.Peek(name); ok && now == held {
			c.known.Remove(name)
		}
		c.mu.Unlock()
	}
}

// inUse are the tenants in use. What is being compiled now is compiled again, and names that
// have no tenant may have one.
func (c *Cache[T]) inUse() map[string]*entry[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.judged++
	c.unknown.Purge()
	all := make(map[string]*entry[T], c.known.Len())
	for _, name := range c.known.Keys() {
		all[name], _ = c.known.Peek(name)
	}
	return all
}

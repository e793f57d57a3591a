// Package spool holds bodies of unknown size between the socket and the app: in
// pooled segments of memory, and from a limit on in a temporary file. It uses the
// standard library only.
//
// A [Body] is filled once, in one pass that also feeds a MAC, and then read any
// number of times, each [Body.Reader] with a cursor of its own. It grows with what
// arrives: a declared length is a limit, never an allocation. A body that outgrows
// its share of memory moves to disk as a whole and keeps one segment to read
// through, so that a thousand large bodies cost a thousand segments.
//
// The memory of a process is bounded by a [Budget] that all bodies share. A body
// that gets no more of it goes to disk at once; a body that gets no more disk ends
// with [ErrFull]. Each body has one small segment beyond refusal, which is in the
// order of what its connection costs anyhow.
//
// [Body.Release] gives everything back. Segments are used again by other bodies,
// so a reader that is still at work then, as net/http's transport may be when the
// app answered early, gets [ErrReleased] and never another body's bytes.
package spool

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Sizes of segments in bytes. Most deliveries fit the small one. The large one is
// as much as a socket usually gives at once, and stays in a core's cache between
// the read and the MAC.
const (
	smallSegment = 4 << 10
	largeSegment = 64 << 10
)

var (
	// ErrTooLarge ends a body that is longer than its limit.
	ErrTooLarge = errors.New("spool: the body is over its limit")
	// ErrFull ends a body for which there is no room, in memory or on disk. The error
	// is a [FullError], which knows why.
	ErrFull = errors.New("spool: no room for the body")
	// ErrBudget is the cause where it is not the system that has no room.
	ErrBudget = errors.New("disk_budget is used up")
	// ErrReleased is what a reader gets once the body was released.
	ErrReleased = errors.New("spool: the body was released")
)

// A FullError is what ErrFull is about. An operator needs the cause, a full disk or
// a folder that is gone; the sender is told nothing of it.
type FullError struct {
	Cause error // the system's error, or ErrBudget
}

func (e *FullError) Error() string { return ErrFull.Error() + ": " + e.Cause.Error() }

// Unwrap returns ErrFull and the cause.
func (e *FullError) Unwrap() []error { return []error{ErrFull, e.Cause} }

var (
	smallSegments = sync.Pool{New: func() any { return new([smallSegment]byte) }}
	largeSegments = sync.Pool{New: func() any { return new([largeSegment]byte) }}
)

// disk bounds how many system calls wait for a disk at once. Each holds a thread of
// the system, and Go ends a process that needs 10,000 of them, as a disk that
// hangs would.
var disk = make(chan struct{}, 256)

// onDisk does what may wait for the disk.
func onDisk[T any](do func() (T, error)) (T, error) {
	disk <- struct{}{}
	defer func() { <-disk }()
	return do()
}

// Limits are the bounds of one body, in bytes.
type Limits struct {
	Size   int64 // a longer body ends with ErrTooLarge
	Memory int64 // a longer body goes to disk
}

// A Body is one body, held until it is released. The zero value is an empty body.
type Body struct {
	budget   *Budget
	limits   Limits
	segments [][]byte // what is held in memory, in order
	inline   [2][]byte
	file     *os.File // what is held on disk: all of it, or nothing
	path     string   // of a file that could not be unlinked while open
	scratch  []byte   // the segment through which a body goes to disk
	stored   int64    // bytes counted against the disk budget
	size     int64

	mu       sync.RWMutex // readers hold it for reading, Release for writing
	released bool
}

// Size returns the number of bytes held.
func (b *Body) Size() int64 { return b.size }

// Fill reads r to its end, into b and tee alike. declared is the length that r is
// said to have, or -1; all it does is spare a body that will end on disk the way
// through memory. Fill is called once. Whatever it returns, b holds what was read
// until then, and must be released.
func (b *Body) Fill(r io.Reader, tee io.Writer, declared int64, limits Limits, budget *Budget) error {
	b.budget, b.limits, b.segments = budget, limits, b.inline[:0]
	if declared > limits.Memory {
		b.limits.Memory = 0
	}
	for {
		space, err := b.space()
		if err != nil {
			return err
		}
		if room := limits.Size - b.size; room < int64(len(space)) {
			space = space[:room+1] // one byte past the limit tells
		}
		n, readErr := r.Read(space)
		_, _ = tee.Write(space[:n]) // a MAC never fails
		if err := b.keep(n); err != nil {
			return err
		}
		switch {
		case b.size > limits.Size:
			return ErrTooLarge
		case readErr == io.EOF: // a Reader returns it as it is
			b.recycle(&b.scratch)
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

// space returns where the next bytes go.
func (b *Body) space() ([]byte, error) {
	if b.file == nil && !b.full() {
		return b.tail(), nil
	}
	if b.file == nil && b.grow() {
		return b.tail(), nil
	}
	if b.file == nil {
		if err := b.spill(); err != nil {
			return nil, err
		}
	}
	b.widen()
	return b.scratch, nil
}

// tail returns what is free in the last segment.
func (b *Body) tail() []byte {
	last := b.segments[len(b.segments)-1]
	return last[len(last):cap(last)]
}

func (b *Body) full() bool { return len(b.segments) == 0 || len(b.tail()) == 0 }

// keep holds on to the n bytes that were just read into space.
func (b *Body) keep(n int) error {
	if b.file == nil {
		last := &b.segments[len(b.segments)-1]
		*last = (*last)[:len(*last)+n]
	} else if err := b.write(b.scratch[:n]); err != nil {
		return err
	}
	b.size += int64(n)
	return nil
}

// grow adds a segment, if the body's share and the budget have room for it.
func (b *Body) grow() bool {
	if len(b.segments) == 0 {
		b.budget.Memory.force(smallSegment)
		b.segments = append(b.segments, smallSegments.Get().(*[smallSegment]byte)[:0])
		return true
	}
	if b.size >= b.limits.Memory || !b.budget.Memory.take(largeSegment) {
		return false
	}
	b.segments = append(b.segments, largeSegments.Get().(*[largeSegment]byte)[:0])
	return true
}

// spill moves the body from memory to disk, and keeps its last segment to read
// through.
func (b *Body) spill() error {
	if err := b.create(); err != nil {
		return err
	}
	for i := range b.segments {
		if err := b.write(b.segments[i]); err != nil {
			return err
		}
	}
	last := len(b.segments) - 1
	b.scratch, b.segments[last] = b.segments[last][:cap(b.segments[last])], nil
	b.recycleAll()
	return nil
}

// widen exchanges a small scratch segment for a large one once the budget allows.
func (b *Body) widen() {
	if len(b.scratch) == largeSegment || !b.budget.Memory.take(largeSegment) {
		return
	}
	b.recycle(&b.scratch)
	b.scratch = largeSegments.Get().(*[largeSegment]byte)[:]
}

// recycle gives a segment back to its pool, and its bytes to the budget.
func (b *Body) recycle(segment *[]byte) {
	switch cap(*segment) {
	case 0:
		return
	case smallSegment:
		smallSegments.Put((*[smallSegment]byte)((*segment)[:smallSegment]))
	case largeSegment:
		largeSegments.Put((*[largeSegment]byte)((*segment)[:largeSegment]))
	}
	b.budget.Memory.give(int64(cap(*segment)))
	*segment = nil
}

func (b *Body) recycleAll() {
	for i := range b.segments {
		b.recycle(&b.segments[i])
	}
	b.segments = nil
}

// create makes the temporary file.
func (b *Body) create() error {
	file, path, err := createIn(os.TempDir())
	if err != nil {
		return &FullError{err}
	}
	b.file, b.path = file, path
	return nil
}

// write appends p to the file. Any failure, usually a full disk, is ErrFull, so that
// the sender is asked to retry.
func (b *Body) write(p []byte) error {
	n := int64(len(p))
	if !b.budget.Disk.take(n) {
		return &FullError{ErrBudget}
	}
	b.stored += n
	if _, err := onDisk(func() (int, error) { return b.file.Write(p) }); err != nil {
		return &FullError{err}
	}
	return nil
}

// Release gives everything back. Later reads fail. It may be called again.
func (b *Body) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.released || b.budget == nil {
		b.released = true
		return
	}
	b.released = true
	b.recycle(&b.scratch)
	b.recycleAll()
	if b.file != nil {
		remove(b.file, b.path)
		b.budget.Disk.give(b.stored)
	}
}

// WriteTo writes the whole body to w.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	buffer := largeSegments.Get().(*[largeSegment]byte)
	defer largeSegments.Put(buffer)
	return io.CopyBuffer(w, b.Reader(), buffer[:])
}

// Reader returns a new cursor at the start of the body. It is used by one
// goroutine; Close may come from another.
func (b *Body) Reader() io.ReadCloser { return &reader{body: b} }

type reader struct {
	body    *Body
	offset  int64 // from the start of the body
	segment int   // the one that offset is in, for a body in memory
	skip    int   // bytes of that segment that were read
	closed  atomic.Bool
}

func (r *reader) Read(p []byte) (int, error) {
	r.body.mu.RLock()
	defer r.body.mu.RUnlock()
	switch {
	case r.body.released || r.closed.Load():
		return 0, ErrReleased
	case r.offset == r.body.size:
		return 0, io.EOF
	}
	n, err := r.next(p)
	r.offset += int64(n)
	return n, err
}

func (r *reader) next(p []byte) (int, error) {
	if r.body.file != nil {
		p = p[:min(int64(len(p)), r.body.size-r.offset)]
		return onDisk(func() (int, error) { return r.body.file.ReadAt(p, r.offset) })
	}
	n := 0
	for n < len(p) && r.offset+int64(n) < r.body.size {
		if r.skip == len(r.body.segments[r.segment]) {
			r.segment, r.skip = r.segment+1, 0
		}
		copied := copy(p[n:], r.body.segments[r.segment][r.skip:])
		n, r.skip = n+copied, r.skip+copied
	}
	return n, nil
}

func (r *reader) Close() error {
	r.closed.Store(true)
	return nil
}

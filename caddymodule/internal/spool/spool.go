// Package spool holds bodies of unknown size between the socket and the app: in
// pooled segments of memory, and beyond a limit in a temporary file. It imports the
// standard library only.
//
// A [Body] is filled once, in one pass that also feeds a MAC. After that it can be read
// any number of times: each [Body.Reader] has its own cursor. A body grows with what
// arrives, segment by segment, each counted before it is allocated, because a declared
// length is a limit and never an allocation. A body that outgrows its share of memory
// moves to disk as a whole and keeps one segment as a buffer, so that a thousand large
// bodies cost a thousand segments.
//
// With [Limits.Stretch] a body may outgrow its share while less than half of the budget is
// in use. The other half is for the shares, so that large bodies do not send small ones to
// disk.
//
// All bodies of a process share a [Budget]. A body that gets no more memory goes to
// disk at once. A body that gets no more disk ends with [ErrFull]. Each body always
// gets one small segment, which costs about as much as its connection.
//
// [Body.Release] gives everything back. Other bodies reuse its segments, so a late
// reader, such as net/http's transport when the app answers early, gets [ErrReleased]
// and never another body's bytes.
package spool

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// Sizes of segments in bytes. Most deliveries fit into a small one. A large one holds
// what a socket usually returns at once, and stays in a core's cache between the read
// and the MAC.
const (
	smallSegment = 4 << 10
	largeSegment = 64 << 10
)

var (
	// ErrTooLarge ends a body that is longer than its limit.
	ErrTooLarge = errors.New("spool: the body is over its limit")
	// ErrFull ends a body for which there is no room. A [FullError] wraps it and holds
	// the cause.
	ErrFull = errors.New("spool: no room for the body")
	// ErrBudget is the cause if the budget is used up and the disk is not full.
	ErrBudget = errors.New("disk_budget is used up")
	// ErrReleased ends a read after the body was released or the reader was closed.
	ErrReleased = errors.New("spool: the body was released")
)

// A FullError is ErrFull with its cause. The operator needs the cause, such as a full
// disk or a missing folder; the sender never learns it.
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

// disk bounds how many system calls wait for a disk at once. Each one holds a thread of
// the operating system, and Go kills a process that needs 10,000 of them. Without the
// bound, a hanging disk would do that.
var disk = make(chan struct{}, 256)

// onDisk calls do, which may wait for the disk.
func onDisk[T any](do func() (T, error)) (T, error) {
	disk <- struct{}{}
	defer func() { <-disk }()
	return do()
}

// Limits bound one body, in bytes.
type Limits struct {
	Size    int64 // a longer body ends with ErrTooLarge
	Memory  int64 // the share of memory: a longer body goes to disk
	Stretch bool  // but not while less than half of the memory budget is in use
}

// A Body holds one body until it is released. The zero value is an empty body.
type Body struct {
	budget   *Budget
	limits   Limits
	segments [][]byte // the part in memory, in order
	inline   [2][]byte
	file     *os.File // the part on disk: the whole body, or nil
	path     string   // of a file that could not be unlinked while open
	scratch  []byte   // the buffer through which a body goes to disk
	stored   int64    // bytes counted against the disk budget
	size     int64

	mu       sync.RWMutex // readers lock it for reading, Release for writing
	released bool
}

// Size returns the number of bytes held.
func (b *Body) Size() int64 { return b.size }

// Fill reads r to its end and writes all of it to b and to tee. declared is the
// announced length, or -1; it only lets a body that is too long for memory go to disk
// directly. Call Fill once. Even after an error, b holds what was read, and the caller
// must release it.
func (b *Body) Fill(r io.Reader, tee io.Writer, declared int64, limits Limits, budget *Budget) error {
	b.budget, b.limits, b.segments = budget, limits, b.inline[:0]
	if declared > limits.Memory && !b.mayStretch(declared) {
		b.limits.Memory, b.limits.Stretch = 0, false
	}
	for {
		space, err := b.space()
		if err != nil {
			return err
		}
		if room := limits.Size - b.size; room < int64(len(space)) {
			space = space[:room+1] // one byte more shows that the body is too long
		}
		n, readErr := r.Read(space)
		_, _ = tee.Write(space[:n]) // a MAC never fails
		if err := b.keep(n); err != nil {
			return err
		}
		switch {
		case b.size > limits.Size:
			return ErrTooLarge
		case readErr == io.EOF: // a Reader returns it unwrapped
			b.recycle(&b.scratch)
			return nil
		case readErr != nil:
			return readErr
		}
	}
}

// space returns the buffer for the next read.
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

// tail returns the free part of the last segment.
func (b *Body) tail() []byte {
	last := b.segments[len(b.segments)-1]
	return last[len(last):cap(last)]
}

func (b *Body) full() bool { return len(b.segments) == 0 || len(b.tail()) == 0 }

// keep adds the first n bytes of space to the body.
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

// grow adds a segment if the body's share and the budget have room for it, and reports
// whether they do.
func (b *Body) grow() bool {
	if len(b.segments) == 0 {
		b.budget.Memory.force(smallSegment)
		b.segments = append(b.segments, smallSegments.Get().(*[smallSegment]byte)[:0])
		return true
	}
	if !b.takeLarge() {
		return false
	}
	b.segments = append(b.segments, largeSegments.Get().(*[largeSegment]byte)[:0])
	return true
}

// takeLarge counts one large segment more, of the share or beyond it.
func (b *Body) takeLarge() bool {
	if b.size < b.limits.Memory {
		return b.budget.Memory.take(largeSegment)
	}
	return b.limits.Stretch && b.budget.Memory.takeHalf(largeSegment)
}

// mayStretch reports whether a body of n bytes would fit now. One that would not is not
// collected in memory first, only to be moved to disk.
func (b *Body) mayStretch(n int64) bool {
	return b.limits.Stretch && n <= b.budget.Memory.half()-b.budget.Memory.Used()
}

// spill moves the body from memory to disk and keeps its last segment as the buffer. The
// others are given back one by one, because a body may be long and a disk slow.
func (b *Body) spill() error {
	if err := b.create(); err != nil {
		return err
	}
	last := len(b.segments) - 1
	for i := range b.segments {
		if err := b.write(b.segments[i]); err != nil {
			return err
		}
		if i < last {
			b.recycle(&b.segments[i])
		}
	}
	b.scratch, b.segments = b.segments[last][:cap(b.segments[last])], nil
	return nil
}

// widen replaces a small buffer with a large one when the budget has room for it.
func (b *Body) widen() {
	if len(b.scratch) == largeSegment || !b.budget.Memory.take(largeSegment) {
		return
	}
	b.recycle(&b.scratch)
	b.scratch = largeSegments.Get().(*[largeSegment]byte)[:]
}

// recycle returns a segment to its pool and its bytes to the budget.
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

// create creates the temporary file.
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

// Release gives everything back. Later reads fail. A second call does nothing.
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

// Reader returns a new cursor at the start of the body. One goroutine reads; another
// one may close it.
func (b *Body) Reader() io.ReadCloser { return &reader{body: b} }

type reader struct {
	body    *Body
	offset  int64 // from the start of the body
	segment int   // index of the segment that offset is in, for a body in memory
	skip    int   // bytes already read of that segment
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

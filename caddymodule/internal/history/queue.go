package history

import "container/heap"

// A place holds an entry in its queue. It is not part of the entry, which whoever has it
// may read at any time.
type place struct {
	entry *Entry
	next  *place
}

// A queue holds the entries of one gate and class, oldest first.
type queue struct {
	oldest, newest *place
	length         int
	key            key
	place          int // in longest
}

func (q *queue) push(all *longest, p *place) *place {
	if q.length == 0 {
		q.oldest = p
	} else {
		q.newest.next = p
	}
	q.newest, q.length = p, q.length+1
	heap.Fix(all, q.place)
	return p
}

func (q *queue) pop(all *longest) *place {
	p := q.oldest
	q.oldest, q.length = p.next, q.length-1
	heap.Fix(all, q.place)
	return p
}

// longest is a heap of all queues, the longest one first. Of queues of one length, it is
// the one whose oldest entry is the oldest.
type longest []*queue

func (l longest) Len() int { return len(l) }

func (l longest) Less(i, j int) bool {
	if l[i].length == l[j].length && l[i].length > 0 {
		return l[i].oldest.entry.recorded < l[j].oldest.entry.recorded
	}
	return l[i].length > l[j].length
}

func (l longest) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].place, l[j].place = i, j
}

// Push implements heap.Interface.
func (l *longest) Push(x any) {
	q := x.(*queue)
	q.place = len(*l)
	*l = append(*l, q)
}

// Pop implements heap.Interface.
func (l *longest) Pop() any {
	last := len(*l) - 1
	q := (*l)[last]
	*l = (*l)[:last]
	return q
}

package history

import (
	"container/heap"
	"container/list"
)

// A queue holds the entries of one gate and class, oldest first.
type queue struct {
	list.List
	key   key
	place int // in longest
}

func (q *queue) push(all *longest, e *Entry) *list.Element {
	place := q.PushBack(e)
	heap.Fix(all, q.place)
	return place
}

func (q *queue) pop(all *longest) *Entry {
	e := q.Remove(q.Front()).(*Entry)
	heap.Fix(all, q.place)
	return e
}

// longest is a heap of all queues, the longest one first. Of queues of one length, it is
// the one whose oldest entry is the oldest.
type longest []*queue

func (l longest) Len() int { return len(l) }

func (l longest) Less(i, j int) bool {
	if l[i].Len() == l[j].Len() && l[i].Len() > 0 {
		return l[i].Front().Value.(*Entry).recorded < l[j].Front().Value.(*Entry).recorded
	}
	return l[i].Len() > l[j].Len()
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

package diagnosis

import (
	"bytes"
	"slices"
	"strings"
)

// maxDepth is how deep JSON may be nested for its keys to be sorted. Each level copies
// the objects in it once more.
const maxDepth = 32

// sortKeys returns compact JSON with the keys of each object in byte order, or nil if
// there is no JSON or it is nested too deep.
func sortKeys(compact []byte) []byte {
	if compact == nil {
		return nil
	}
	s := &sorter{in: compact, out: make([]byte, 0, len(compact))}
	if !s.value(0) {
		return nil
	}
	return s.out
}

// A sorter reads JSON that is known to be valid and without white space.
type sorter struct {
	in  []byte
	at  int
	out []byte
}

func (s *sorter) value(depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch s.in[s.at] {
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	}
	s.copy(s.scalar())
	return true
}

// scalar returns the length of the string, number or word that comes next.
func (s *sorter) scalar() int {
	if s.in[s.at] == '"' {
		return stringLength(s.in[s.at:])
	}
	if n := bytes.IndexAny(s.in[s.at:], ",]}"); n >= 0 {
		return n
	}
	return len(s.in) - s.at
}

func (s *sorter) copy(n int) {
	s.out = append(s.out, s.in[s.at:s.at+n]...)
	s.at += n
}

func (s *sorter) array(depth int) bool {
	s.copy(1)
	for s.in[s.at] != ']' {
		if s.in[s.at] == ',' {
			s.copy(1)
		}
		if !s.value(depth + 1) {
			return false
		}
	}
	s.copy(1)
	return true
}

// object writes the members as they come, then sorts them.
func (s *sorter) object(depth int) bool {
	s.copy(1)
	start := len(s.out)
	var members []member
	for s.in[s.at] != '}' {
		if s.in[s.at] == ',' {
			s.at++
		}
		m, ok := s.member(start, depth)
		if !ok {
			return false
		}
		members = append(members, m)
	}
	s.order(start, members)
	s.copy(1)
	return true
}

// A member of an object is its key with the quotes, its colon and its value, by their
// offsets from the object's start.
type member struct{ from, colon, to int }

func (s *sorter) member(start, depth int) (m member, ok bool) {
	m.from = len(s.out) - start
	s.copy(s.scalar())
	m.colon = len(s.out) - start
	s.copy(1)
	ok = s.value(depth + 1)
	m.to = len(s.out) - start
	return m, ok
}

// order writes the members from start on again, sorted by their keys.
func (s *sorter) order(start int, members []member) {
	unordered := bytes.Clone(s.out[start:])
	slices.SortStableFunc(members, func(a, b member) int {
		return strings.Compare(string(unordered[a.from+1:a.colon-1]), string(unordered[b.from+1:b.colon-1]))
	})
	s.out = s.out[:start]
	for i, m := range members {
		if i > 0 {
			s.out = append(s.out, ',')
		}
		s.out = append(s.out, unordered[m.from:m.to]...)
	}
}

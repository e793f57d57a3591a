package diagnosis

import (
	"bytes"
	"slices"
	"strings"
)

// maxDepth is how deep JSON may be nested to have its keys sorted: each object that
// others are in is copied once more.
const maxDepth = 32

// sortKeys returns compact JSON with the keys of each object in order, byte by byte,
// or nil where it is none or too deep.
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

// scalar is the length of the string, number or word that comes next.
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

// object writes the members as they come, then puts them in order.
func (s *sorter) object(depth int) bool {
	s.copy(1)
	start := len(s.out)
	var members []member
	for s.in[s.at] != '}' {
		if s.in[s.at] == ',' {
			s.at++
		}
		m := member{from: len(s.out) - start}
		s.copy(s.scalar())
		m.colon = len(s.out) - start
		s.copy(1)
		if !s.value(depth + 1) {
			return false
		}
		m.to = len(s.out) - start
		members = append(members, m)
	}
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
	s.copy(1)
	return true
}

// A member of an object: its key with the quotes, its colon, its value.
type member struct{ from, colon, to int }

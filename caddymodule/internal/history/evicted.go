package history

// maxEvicted bounds how many names of gates are remembered that had entries.
const maxEvicted = 1024

// Evicted holds, for each gate and result, when the newest entry was recorded that is not
// there any more, so that a reader who comes back can be told that something is missing.
type Evicted map[Kind]Mark

// A Kind is what readers ask for.
type Kind struct{ Gate, Result string }

// add notes an entry that is given up. Past the bound, all gates are one.
func (v Evicted) add(e *Entry) {
	kind := Kind{e.Gate, e.Result}
	if _, known := v[kind]; !known && len(v) >= maxEvicted {
		kind = Kind{}
	}
	v[kind] = max(v[kind], e.recorded)
}

// After reports whether an entry was given up that was recorded after a mark. An empty gate
// or result is any.
func (v Evicted) After(m Mark, gate, result string) bool {
	for kind, newest := range v {
		all := kind == Kind{}
		if newest > m && (all || (gate == "" || gate == kind.Gate) && (result == "" || result == kind.Result)) {
			return true
		}
	}
	return false
}

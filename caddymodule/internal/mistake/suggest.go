package mistake

import (
	"slices"
	"strings"
)

// A Set is the closed set of words that something can be.
type Set struct {
	What  string            // "preset"
	Words []string          // in the order in which they are listed
	Also  map[string]string // what people write for a word that looks different: seconds for s
}

// Unknown says that word is not in the set, and which word is meant.
func (s Set) Unknown(word string) string {
	problem := "unknown " + s.What + " " + Show(word)
	if near := s.Near(word); near != nil {
		return problem + "; did you mean " + Either(near) + "?"
	}
	return problem + "; write " + Either(s.Words)
}

// Near returns the words that word may be a slip for, at most three. It returns none for
// a word that may be a secret: a suggestion would tell what the secret is like.
func (s Set) Near(word string) []string {
	folded := fold(word)
	if folded == "" || isHeld(word) {
		return nil
	}
	if meant, ok := s.Also[folded]; ok {
		return []string{meant}
	}
	near := s.nearest(folded)
	if near == nil {
		near = s.filter(func(known string) bool { return isPart(known, folded) })
	}
	if len(near) > 3 {
		return nil
	}
	return near
}

// nearest returns the words that are the fewest slips of the pen away: one in four letters
// at most.
func (s Set) nearest(folded string) []string {
	least := (len(folded) + 1) / 4
	if strings.Trim(folded, "0123456789") == "" {
		least = 0 // another number is no slip
	}
	for _, known := range s.Words {
		least = min(least, slips(folded, fold(known)))
	}
	return s.filter(func(known string) bool { return slips(folded, fold(known)) == least })
}

// slips is the distance, where letters in another order are one slip.
func slips(a, b string) int {
	if a != b && sorted(a) == sorted(b) {
		return 1
	}
	return distance(a, b)
}

func sorted(word string) string {
	letters := []byte(word)
	slices.Sort(letters)
	return string(letters)
}

func (s Set) filter(keep func(string) bool) (kept []string) {
	for _, known := range s.Words {
		if keep(known) {
			kept = append(kept, known)
		}
	}
	return kept
}

// isPart reports whether one is a part of the other: timeout of body_timeout, and sha256
// of hmac-sha256.
func isPart(known, folded string) bool {
	known = fold(known)
	return len(folded) > 2 && len(folded) <= maxOption && (strings.Contains(known, folded) || len(known) > 3 && strings.Contains(folded, known))
}

// fold returns what differs in more than case and separators.
func fold(word string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(word))
}

// distance returns how many letters have to be added, removed, replaced or swapped with
// the next one to make one word of the other.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range len(b) {
		rows[0][j+1] = j + 1
	}
	for i := range len(a) {
		for j := range len(b) {
			rows[i+1][j+1] = min(rows[i][j]+1, rows[i][j+1]+1, rows[i+1][j]+1)
			if a[i] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i][j])
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				rows[i+1][j+1] = min(rows[i+1][j+1], rows[i-1][j-1]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// Either lists words: a, b or c.
func Either(words []string) string {
	words = slices.Clone(words)
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " or " + words[last]
	}
	return strings.Join(words, "")
}

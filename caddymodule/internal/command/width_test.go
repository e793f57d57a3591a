package command

import (
	"slices"
	"testing"
)

func TestFit(t *testing.T) {
	rows := [][]string{
		{"preset", "sender", "kind", "field"},
		{"a-long-name-of-a-preset", "Grüße, a sender with a long name", "secret", "X-Signature"},
		{"b", "B", "secret", "X-A-Much-Longer-Name-Of-A-Field-Than-That"},
	}
	for width, want := range map[int]struct {
		columns, most int
		sender        string
	}{
		0:   {4, 111, "Grüße, a sender with a long name"},
		111: {4, 111, "Grüße, a sender with a long name"},
		110: {4, 110, "Grüße, a sender with a long name"},
		100: {4, 100, "Grüße, a sender with a long na…"},
		60:  {4, 60, "Grüße, a s…"},
		59:  {3, 59, "Grüße, a sender with a …"},
		46:  {3, 46, "Grüße, a s…"}, // nothing more to leave out
		1:   {3, 46, "Grüße, a s…"},
	} {
		fitted := fit(rows, width, []string{"field"})
		if got := total(columns(fitted), 1000); got > want.most || len(fitted[0]) != want.columns || fitted[1][1] != want.sender {
			t.Errorf("width %d: %d wide, %q", width, got, fitted)
		}
		if fitted[1][0] != rows[1][0] || rows[1][1] != "Grüße, a sender with a long name" {
			t.Errorf("width %d: a name is cut: %q", width, fitted[1])
		}
	}
}

func TestWrapped(t *testing.T) {
	for text, want := range map[string][]string{
		"":                    {""},
		"a b":                 {"a b"},
		"abcd efgh ij":        {"abcd", "efgh ij"},
		"longerthanwide a":    {"longerthanwide", "a"},
		"ääää öööö":           {"ääää", "öööö"},
		"  many   blanks   x": {"many", "blanks x"},
	} {
		if got := wrapped(text, 8); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

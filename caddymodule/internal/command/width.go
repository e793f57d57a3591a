package command

import (
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// commentWidth is that of a terminal of 80 columns, without "# ".
const commentWidth = 78

// leastColumn is how narrow a column is cut at most, so that it still says something.
const leastColumn = 11

// gap is between two columns.
const gap = 3

// fittedTable is table for rows with long cells: on a terminal, columns are cut so that a
// row is one line. Where that leaves too little of them, the spare ones are left out, the
// first one first.
func (p *printer) fittedTable(head []string, rows [][]string, spare ...string) error {
	if p.terminal {
		rows = fit(append([][]string{head}, rows...), p.width(), spare)
		head, rows = rows[0], rows[1:]
	}
	return p.table(head, rows)
}

// width returns the terminal's, or 0 where it has none.
func (p *printer) width() int {
	file, ok := p.w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// fit makes rows, the first of which is the head, as wide as width at most, if it can. The
// first column has the names and stays whole. Width 0 cuts nothing.
func fit(rows [][]string, width int, spare []string) [][]string {
	widths := columns(rows)
	for _, name := range spare {
		if width == 0 || total(widths, leastColumn) <= width {
			break
		}
		rows = without(rows, slices.Index(rows[0], name))
		widths = columns(rows)
	}
	most := slices.Max(widths)
	for width > 0 && most > leastColumn && total(widths, most) > width {
		most--
	}
	fitted := make([][]string, len(rows))
	for i, row := range rows {
		fitted[i] = row[:1:1]
		for _, cell := range row[1:] {
			fitted[i] = append(fitted[i], cut(cell, most))
		}
	}
	return fitted
}

// columns returns how wide each column is.
func columns(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func without(rows [][]string, column int) [][]string {
	left := make([][]string, len(rows))
	for i, row := range rows {
		left[i] = slices.Concat(row[:column], row[column+1:])
	}
	return left
}

// total is the width of a row if no column but the first is wider than most.
func total(widths []int, most int) int {
	sum := widths[0]
	for _, width := range widths[1:] {
		sum += gap + min(width, most)
	}
	return sum
}

func cut(cell string, width int) string {
	if utf8.RuneCountInString(cell) <= width {
		return cell
	}
	return string([]rune(cell)[:width-1]) + "…"
}

// wrapped breaks a text into lines of whole words.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line+" "+word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/sender"
)

// A printer writes for whoever reads: a table with colour on a terminal, plain
// lines in a pipe, or JSON.
type printer struct {
	w        io.Writer
	json     bool
	terminal bool
	colour   bool
}

func newPrinter(w io.Writer, asJSON bool) *printer {
	p := &printer{w: w, json: asJSON, terminal: isTerminal(w)}
	p.colour = p.terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func (p *printer) text(s string) error {
	_, err := fmt.Fprintln(p.w, s)
	return err
}

func (p *printer) object(v any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := p.w.Write(p.ascii(text.Bytes()))
	return err
}

// fields prints header fields, which read the same for a person and a pipe.
func (p *printer) fields(fields []sender.Field) error {
	if p.json {
		object := make(map[string]string, len(fields))
		for _, field := range fields {
			object[field.Name] = field.Value
		}
		return p.object(object)
	}
	for _, field := range fields {
		if err := p.text(field.Name + ": " + field.Value); err != nil {
			return err
		}
	}
	return nil
}

// table prints rows, under a head on a terminal. The last cell of a row is short.
func (p *printer) table(head []string, rows [][]string) error {
	if !p.terminal {
		for _, row := range rows {
			if err := p.text(strings.Join(row, "\t")); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(p.w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")) // it writes in Flush
	}
	return w.Flush()
}

const (
	green       = "\x1b[32m"
	red         = "\x1b[31m"
	plainColour = "\x1b[0m"
)

// good and bad colour a word; both add as many bytes, so that columns stay even.
func (p *printer) good(s string) string { return p.paint(green, s) }
func (p *printer) bad(s string) string  { return p.paint(red, s) }

func (p *printer) paint(colour, s string) string {
	if !p.colour {
		return s
	}
	return colour + s + plainColour
}

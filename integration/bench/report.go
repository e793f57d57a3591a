package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A report holds the measurements. A part that was not measured is empty.
type report struct {
	options options
	machine machine
	rates   []*comparison
	flood   *comparison
	burst   *burst
	ways    []*way
	uploads []*uploads
}

func (r *report) empty() bool {
	return len(r.rates) == 0 && r.flood == nil && r.burst == nil && len(r.ways) == 0 && len(r.uploads) == 0
}

// A machine is what the numbers depend on. It does not show whose machine it is.
type machine struct {
	cores        int
	processor    string
	goVersion    string
	caddyVersion string
	date         string
}

func (l *lab) machine(ctx context.Context) machine {
	version, _ := exec.CommandContext(ctx, l.binary, "version").Output() //nolint:gosec // what we built
	return machine{
		cores:        runtime.NumCPU(),
		processor:    processorName(),
		goVersion:    runtime.Version(),
		caddyVersion: caddyVersion(string(version)),
		date:         time.Now().UTC().Format(time.DateOnly),
	}
}

// caddyVersion returns Caddy's own version from the output of `caddy version`, without the
// name of the build before it and the checksum after it.
func caddyVersion(printed string) string {
	if _, caddys, named := strings.Cut(printed, " Caddy "); named {
		printed = caddys
	}
	version, _, _ := strings.Cut(strings.TrimSpace(printed), " ")
	return version
}

func (m machine) String() string {
	processor := runtime.GOOS + "/" + runtime.GOARCH
	if m.processor != "" {
		processor = m.processor + ", " + processor
	}
	return fmt.Sprintf("%d cores (%s), %s, Caddy %s", m.cores, processor, m.goVersion, m.caddyVersion)
}

// command returns the command that repeats the measurement.
func (o *options) command() string {
	command := "go run ./integration/bench"
	if o.quick {
		command += " -quick"
	} else {
		command += fmt.Sprintf(" -rounds %d -seconds %g", o.rounds, o.seconds)
	}
	if o.only != "" {
		command += " -only " + o.only
	}
	if o.sizes != "" {
		command += fmt.Sprintf(" -sizes %q", o.sizes)
	}
	if o.against != "" {
		command += " -against FILE"
	}
	return command
}

// sides says what is compared.
func (o *options) sides() string {
	if o.against != "" {
		return "Two binaries, both with webhook_auth and reverse_proxy. The bound holds against plain reverse_proxy and means nothing here."
	}
	return "The same gateway with webhook_auth and reverse_proxy, guarded, and with reverse_proxy alone, plain."
}

// baseline names what is compared with.
func (o *options) baseline(otherwise string) string {
	if o.against != "" {
		return "the other"
	}
	return otherwise
}

// write writes bench.md and, if there is something to draw, bench.svg.
func (r *report) write(folder string) error {
	err := errors.Join(
		os.MkdirAll(folder, 0o750),
		os.WriteFile(filepath.Join(folder, "bench.md"), []byte(r.markdown()), 0o600))
	if len(r.rates) == 0 {
		return err
	}
	return errors.Join(err, os.WriteFile(filepath.Join(folder, "bench.svg"), []byte(chart(r.rates, r.caption())), 0o600))
}

func (r *report) caption() string { return r.machine.date + ", " + r.machine.String() }

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What webhook_auth costs\n\n%s, `%s`\n", r.caption(), r.options.command())
	if !hasProc() {
		fmt.Fprintf(&b, "\nProcessor time and memory are not measured: %v.\n", errNoProc)
	}
	if len(r.rates) > 0 {
		b.WriteString("\n## Deliveries per second\n\n" + r.options.sides() + "\n\n")
		ratesTable(&b, r.rates, r.options)
	}
	if r.flood != nil {
		b.WriteString(floodText)
		floodTable(&b, r.flood, r.options)
	}
	if r.burst != nil {
		b.WriteString(burstText)
		burstTable(&b, r.burst)
	}
	if len(r.ways) > 0 {
		b.WriteString(waysText)
		waysTable(&b, r.ways)
	}
	if len(r.uploads) > 0 {
		fmt.Fprintf(&b, uploadsText, thousands(r.options.uploads))
		uploadsTable(&b, r.uploads)
	}
	return b.String()
}

const ratesLegend = `
- **guarded/plain**: the median over %d pairs of rounds of %g s, and the range of the middle half of them.
- **bound**: the best that is possible with HMAC-SHA256. All cores are busy, so that the processor time of a delivery, in the clients, the
  gateway and the app together, decides how many there are in a second. The bound is that time of a plain delivery, over the same plus
  that of a bare HMAC of the body, measured between the rounds.
- **by CPU**: the ratio of those processor times, plain over guarded. On an otherwise idle machine it equals guarded/plain; on a busy
  one it varies less.
- **gateway CPU**: the processor time of the gateway alone, for one delivery.

HTTP/2 is sent by net/http, which costs more than the lean client of HTTP/1.1, and so hides more of what the gateway does.
`

func ratesTable(b *strings.Builder, rates []*comparison, o options) {
	base := o.baseline("plain")
	columns := []string{"body", base + "/s", "guarded/s", "guarded/" + base, "bound"}
	if hasProc() {
		columns = append(columns, "by CPU", "gateway CPU, "+base, "guarded")
	}
	header(b, append([]string{""}, columns...))
	busy := 0.0
	for _, c := range rates {
		busy += c.busy() / float64(len(rates))
		cells := []string{
			c.protocol, c.size.name, perSecond(c.plain.rate()), perSecond(c.guarded.rate()),
			spread(c.ratios()), fmt.Sprintf("%.2f", c.bound()),
		}
		if hasProc() {
			cells = append(cells, spread(c.ratiosByCPU()), span(c.plain.each()), span(c.guarded.each()))
		}
		row(b, cells)
	}
	fmt.Fprintf(b, ratesLegend, o.rounds, o.seconds)
	if hasProc() {
		b.WriteString(trust(busy))
	}
}

// trust says how reliable the rates are: other work of the machine makes them jump.
func trust(busy float64) string {
	line := fmt.Sprintf("The clients, the gateway and the app shared the cores and had %.0f %% of their time.", 100*busy)
	if busy < 0.85 {
		line += " **That is too little: the machine had\nother work. Use the columns on CPU, and measure again when it is idle.**"
	}
	return line + "\n"
}

const floodText = `
## Refusing unsigned deliveries

1 KiB without a signature over HTTP/1.1, against Caddy's own ` + "`error 401`" + `.

`

func floodTable(b *strings.Builder, c *comparison, o options) {
	base := o.baseline("`error 401`")
	columns := []string{base + "/s", "webhook_auth/s", "ratio"}
	cells := []string{perSecond(c.plain.rate()), perSecond(c.guarded.rate()), spread(c.ratios())}
	if hasProc() {
		columns = append(columns, "by CPU", "gateway CPU, "+base, "webhook_auth")
		cells = append(cells, spread(c.ratiosByCPU()), span(c.plain.each()), span(c.guarded.each()))
	}
	header(b, columns)
	row(b, cells)
}

const burstText = `
## Authentic deliveries among forged ones

1 KiB over HTTP/1.1, 250 authentic ones a second on one connection: alone, beside 1,000 forged ones a second, of which a few are
diagnosed, and beside 1,000 a second that Caddy's own ` + "`error 401`" + ` answers. The three alternate, second by second.

`

func burstTable(b *strings.Builder, all *burst) {
	header(b, []string{"", "median", "p99", "p99 over that when alone"})
	alone := quantile(all.quiet, 0.99)
	for _, line := range []struct {
		name    string
		seconds []float64
	}{{"alone", all.quiet}, {"among forged ones", all.forged}, {"beside `error 401`", all.refused}} {
		p99 := quantile(line.seconds, 0.99)
		row(b, []string{line.name, milliseconds(median(line.seconds)), milliseconds(p99), fmt.Sprintf("%.2f", p99/alone)})
	}
}

func milliseconds(seconds float64) string { return fmt.Sprintf("%.2f ms", 1000*seconds) }

const waysText = `
## What a delivery costs

Processor time of one delivery of 1 KiB, each with a body of its own, over 8 connections; and how many that makes on a core that does
nothing else.

`

func waysTable(b *strings.Builder, ways []*way) {
	header(b, []string{"", "gateway", "a second and core", "Redis"})
	for _, w := range ways {
		gateway, redis := w.each()
		store := ""
		if w.shares {
			store = span(redis)
		}
		row(b, []string{w.name, span(gateway), perSecond(1 / max(gateway.Seconds(), 1e-9)), store})
	}
}

const uploadsText = `
## Memory with %s uploads of 10 MiB at once

Each sends half of its body, waits until the gateway has the halves of all, and then sends the rest. Every line is a new gateway with
the default limits; memory is resident memory, including the program itself. The Go runtime keeps the threads that it once needed, so
their number after the uploads is how many system calls, mostly of a slow disk, were waiting at once.

`

func uploadsTable(b *strings.Builder, all []*uploads) {
	header(b, []string{"", "answers", "memory before", "at its peak", "goroutines before, after", "open files before, after", "threads", "took"})
	for _, u := range all {
		row(b, []string{
			u.name, fmt.Sprintf("%s × %d", thousands(u.answers[u.expected]), u.expected),
			mebibytes(u.idle), mebibytes(u.peak),
			fmt.Sprintf("%d, %d", u.before.goroutines, u.after.goroutines),
			fmt.Sprintf("%d, %d", u.before.files, u.after.files),
			thousands(u.threads), u.took.Round(time.Second).String(),
		})
	}
}

func header(b *strings.Builder, columns []string) {
	row(b, columns)
	b.WriteString(strings.Repeat("|---", len(columns)) + "|\n")
}

func row(b *strings.Builder, cells []string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// spread formats the median and how much the rounds differ.
func spread(values []float64) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(values), quantile(values, 0.25), quantile(values, 0.75))
}

func perSecond(rate float64) string {
	if rate < 100 {
		return fmt.Sprintf("%.1f", rate)
	}
	return thousands(int(rate + 0.5))
}

func span(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%d µs", d.Microseconds())
	}
	return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

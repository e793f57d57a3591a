package main

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A report is what was measured. A part that was not asked for is empty.
type report struct {
	options options
	machine string
	rates   []*comparison
	latency []*paced
	ways    []*way
	uploads []*uploads
}

// machine describes what the numbers depend on. It does not show whose machine it is.
func (l *lab) machine(ctx context.Context) string {
	version, _ := exec.CommandContext(ctx, l.binary, "version").Output() //nolint:gosec // what we built
	processor, _ := procLine("/proc/cpuinfo", "model name")
	return fmt.Sprintf("%s, %d cores (%s, %s/%s), %s, Caddy %s", time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(),
		strings.TrimSpace(strings.TrimPrefix(processor, ":")), runtime.GOOS, runtime.GOARCH, runtime.Version(), caddyVersion(string(version)))
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

// command returns the command that repeats the measurement.
func (o *options) command() string {
	command := fmt.Sprintf("go run ./integration/bench -rounds %d -round %v -rate %d -duration %v", o.rounds, o.round, o.rate, o.duration)
	for name, value := range map[string]string{"only": o.only, "sizes": o.sizes, "against": o.against} {
		if value != "" {
			command += fmt.Sprintf(" -%s %q", name, value)
		}
	}
	return command
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What webhook_auth costs\n\n%s, `%s`\n", r.machine, r.options.command())
	r.ratesTable(&b)
	r.latencyTable(&b)
	r.waysTable(&b)
	r.uploadsTable(&b)
	return b.String()
}

const ratesText = `
## Side by side

%s %s

- **by processor time**: what a delivery costs the gateway, %s over guarded, above 1 if guarded is cheaper: the median of %d pairs of
  rounds, and the interval that holds it with a confidence of 95 %%. If 1 is in it, no difference is shown.
- **bound**: the same if guarded did nothing more than a bare HMAC-SHA256 of the body.
- **by rate**: deliveries a second, guarded over %s. The clients and the app share the cores, so it is nearer to 1.
- In the row ` + "`refuse`" + `, guarded refuses 1 KiB without a signature%s.

`

func (r *report) ratesTable(b *strings.Builder) {
	if len(r.rates) == 0 {
		return
	}
	sides, base, refuse := "The same gateway with `reverse_proxy` alone, plain, and with webhook_auth in front of it, guarded.", "plain", ", and plain is Caddy's own `error 401`"
	if r.options.against != "" {
		sides, base, refuse = "Two binaries, both with webhook_auth: old, of `"+r.options.against+"`, and guarded, the one to judge.", "old", ", and old does the same"
	}
	fmt.Fprintf(b, ratesText, r.believe(), sides, base, r.options.rounds, base, refuse)
	row(b, "", base, "guarded", "by processor time", "bound", "by rate")
	row(b, "---", "---", "---", "---", "---", "---")
	for _, c := range r.rates {
		bound := ""
		if c.hash > 0 && r.options.against == "" {
			bound = fmt.Sprintf("%.2f", c.bound())
		}
		row(b, c.name, span(c.each(0)), span(c.each(1)), ratio(c.byProcessor()), bound, ratio(c.byRate()))
	}
}

// believe says which column to believe: other work of the machine makes rates jump, and
// changes processor times little.
func (r *report) believe() string {
	var all, took float64
	for _, c := range r.rates {
		for _, r := range append(c.sides[0], c.sides[1]...) {
			all, took = all+r.all.Seconds(), took+r.took.Seconds()
		}
	}
	busy := 100 * all / took / float64(runtime.NumCPU())
	if busy < 85 {
		return fmt.Sprintf("**Believe the column \"by processor time\" only**: the gateway, the app and the clients had %.0f %% of the cores, and other work had\nthe rest. Rates and latencies of this run mean little.", busy)
	}
	return fmt.Sprintf("Believe both columns of ratios: the gateway, the app and the clients had %.0f %% of the cores, so the machine did little else. What the\ngate costs is in \"by processor time\".", busy)
}

const latencyText = `
## At a fixed rate

%s deliveries of 1 KiB a second over %d connections, sent when they are due, whether the ones before were answered or not. Each
counts from the time at which it was due, so waiting counts. The lines alternate every %v, %v for each.

`

func (r *report) latencyTable(b *strings.Builder) {
	if len(r.latency) == 0 {
		return
	}
	fmt.Fprintf(b, latencyText, thousands(r.options.rate), r.options.connections, slice, r.options.duration)
	row(b, "", "deliveries", "p50", "p99", "p99.9", "cores used by gateway, app and clients")
	row(b, "---", "---", "---", "---", "---", "---")
	for _, p := range r.latency {
		row(b, p.name, thousands(len(p.took)), span(quantile(p.took, 0.5)), span(quantile(p.took, 0.99)), span(quantile(p.took, 0.999)),
			fmt.Sprintf("%.0f %%", 100*p.all.Seconds()/p.spent.Seconds()/float64(runtime.NumCPU())))
	}
}

const waysText = `
## What a delivery costs

Processor time of one delivery of 1 KiB, each with a body of its own, over 8 connections; and how many that makes on a core that does
nothing else.

`

func (r *report) waysTable(b *strings.Builder) {
	if len(r.ways) == 0 {
		return
	}
	b.WriteString(waysText)
	row(b, "", "gateway", "a second and core", "Redis")
	row(b, "---", "---", "---", "---")
	for _, w := range r.ways {
		count, redis := 0, ""
		var gateway time.Duration
		for _, done := range w.rounds {
			count, gateway = count+done.count, gateway+done.gateway
		}
		if w.shares {
			redis = span(w.redis.Seconds() / float64(count))
		}
		row(b, w.name, span(gateway.Seconds()/float64(count)), thousands(int(float64(count)/gateway.Seconds())), redis)
	}
}

const uploadsText = `
## %s uploads of 10 MiB at once

Each sends half of its body, waits until the gateway has the halves of all, and then sends the rest. Every line is a new gateway with
the default limits; memory is resident memory, including the program itself. The Go runtime keeps the threads that it once needed, so
their number is how many system calls, mostly of a slow disk, were waiting at once.

`

func (r *report) uploadsTable(b *strings.Builder) {
	if len(r.uploads) == 0 {
		return
	}
	fmt.Fprintf(b, uploadsText, thousands(r.options.uploads))
	row(b, "", "answers", "memory before", "at its peak", "threads", "took")
	row(b, "---", "---", "---", "---", "---", "---")
	for _, u := range r.uploads {
		row(b, u.name, fmt.Sprintf("%s × %d", thousands(u.answers[u.load.status]), u.load.status),
			fmt.Sprintf("%d MiB", u.idle), fmt.Sprintf("%d MiB", u.peak), thousands(u.threads), u.took.Round(time.Second).String())
	}
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// ratio formats the median of ratios and its confidence interval.
func ratio(values []float64) string {
	s := interval(values)
	if math.IsInf(s.Lo, 0) || math.IsInf(s.Hi, 0) {
		return fmt.Sprintf("%.2f (too few rounds)", s.Center)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Center, s.Lo, s.Hi)
}

func span(seconds float64) string {
	if seconds < 1e-3 {
		return fmt.Sprintf("%.0f µs", seconds*1e6)
	}
	return fmt.Sprintf("%.2f ms", seconds*1e3)
}

func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

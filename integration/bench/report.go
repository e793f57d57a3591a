package main

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"golang.org/x/perf/benchmath"
)

//go:embed bench.md.tmpl
var pageText string

var page = template.Must(template.New("bench.md").Funcs(template.FuncMap{"span": span, "ratio": ratio, "thousands": thousands}).Parse(pageText))

// A report is what was measured. A part that was not asked for is empty.
type report struct {
	Options *options
	Machine string
	Rates   []*comparison
	Latency []*paced
	Ways    []*way
	Uploads []*uploads
}

func (r *report) markdown() (string, error) {
	var b strings.Builder
	err := page.Execute(&b, r)
	return b.String(), err
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

// Base is what guarded is compared with.
func (r *report) Base() string {
	if r.Options.Against != "" {
		return "old"
	}
	return "plain"
}

// Slice is how long each line of the latency part has its turn.
func (*report) Slice() time.Duration { return slice }

// Busy is how many per cent of the cores the rates took. Other work may have had the rest. It
// makes rates jump and changes processor times little.
func (r *report) Busy() int {
	var all round
	for _, c := range r.Rates {
		for _, one := range slices.Concat(c.sides[0], c.sides[1]) {
			all.add(one)
		}
	}
	return all.busy()
}

// interval returns the median of values and its confidence interval, at 95 %, without an
// assumption about how they are distributed.
func interval(values []float64) benchmath.Summary {
	return benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds), 0.95)
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

// Command bench measures what webhook_auth costs in front of reverse_proxy: the
// same gateway, guarded and plain, side by side in one run. From the repository:
//
//	go run ./integration/bench                     everything, 6 minutes on 2 cores and a slow disk
//	go run ./integration/bench -quick              a quick look, 40 seconds
//	go run ./integration/bench -only flood         one part: rates, flood, burst, capacity or memory
//	go run ./integration/bench -profile cpu.prof   where the guarded gateway spends its time
//	go run ./integration/bench -against old/caddy  what a change gains
//
// It needs Go, git and bash, builds the binary with xcaddy.sh, talks to 127.0.0.1
// only, and writes bench.md and bench.svg for docs/performance.md. The load, the
// gateway and the app share the machine, so a rate means nothing by itself: read the
// ratios. The memory part holds 10 GiB of bodies in the temporary folder, so set TMPDIR to
// a disk with that much room, and not to one in memory.
//
// The files:
//
//	main.go       the command and its parts
//	lab.go        the binary, and a certificate
//	gateway.go    the gateway, configured by Caddyfile.tmpl; app.go is the app behind it
//	client.go     deliveries, and clients that send them; load.go keeps many clients busy
//	rates.go      guarded against plain, in alternating rounds
//	burst.go      authentic deliveries among forged ones
//	capacity.go   what one delivery costs, by its way to the app
//	memory.go     many large uploads at once
//	profile.go    where the gateway spends its time
//	proc.go       what the kernel knows about a process
//	report.go     bench.md; chart.go draws bench.svg
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags of the command.
type options struct {
	rounds  int
	seconds float64
	uploads int
	quick   bool
	only    string
	out     string
	sizes   string
	profile string
	binary  string
	against string
}

func main() {
	if os.Getenv(appEnv) != "" {
		exitOn(serveApp())
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 20, "pairs of rounds, guarded and plain, for each size")
	flag.Float64Var(&o.seconds, "seconds", 0.4, "length of a round")
	flag.IntVar(&o.uploads, "uploads", 1000, "concurrent 10 MiB uploads of the memory part")
	flag.BoolVar(&o.quick, "quick", false, "5 rounds of 0.2 seconds and 100 uploads")
	flag.StringVar(&o.only, "only", "", "measure one `part`: rates, flood, burst, capacity or memory")
	flag.StringVar(&o.out, "out", "", "`folder` for bench.md and bench.svg (default integration/bench/results for a full run, otherwise none)")
	flag.StringVar(&o.profile, "profile", "", "only write CPU profiles of the gateway under 1 KiB deliveries: guarded to `file`, plain to file.plain")
	flag.StringVar(&o.sizes, "sizes", "", "only these `bodies`, such as \"1 KiB,1 MiB\"; with -profile: this one instead of 1 KiB")
	flag.StringVar(&o.binary, "binary", "", "measure this binary `file` instead of building one with xcaddy.sh")
	flag.StringVar(&o.against, "against", "", "compare with this other binary `file`, also guarded, instead of with plain reverse_proxy")
	flag.Parse()
	exitOn(run(o))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settle completes the options, or says what is wrong with them.
func (o *options) settle(root string) error {
	if o.quick {
		o.rounds, o.seconds, o.uploads = 5, 0.2, 100
	}
	if o.out == "" && !o.quick && o.only == "" && o.sizes == "" && o.against == "" {
		o.out = filepath.Join(root, "integration", "bench", "results")
	}
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.only != "" && !slices.Contains([]string{"rates", "flood", "burst", "capacity", "memory"}, o.only):
		return fmt.Errorf("-only %s: the parts are rates, flood, burst, capacity and memory", o.only)
	case len(o.chosen()) == 0:
		return fmt.Errorf("-sizes %s: the bodies are %v", o.sizes, sizes)
	case o.rounds < 1 || o.seconds <= 0 || o.uploads < 1:
		return errors.New("-rounds, -seconds and -uploads must be greater than zero")
	}
	return nil
}

// chosen returns the sizes to measure.
func (o *options) chosen() (chosen []size) {
	for _, s := range sizes {
		if o.sizes == "" || slices.Contains(strings.Split(o.sizes, ","), s.name) {
			chosen = append(chosen, s)
		}
	}
	return chosen
}

func (o *options) wants(part string) bool { return o.only == "" || o.only == part }

func (o *options) round() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

// patience bounds the whole run, so that a hanging process ends it.
func (o *options) patience() time.Duration {
	return 15*time.Minute + time.Duration(40*o.rounds)*o.round()
}

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	if err := o.settle(root); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.patience())
	defer cancel()
	l, err := newLab(ctx, root, o)
	if err != nil {
		return err
	}
	defer l.close()
	if o.profile != "" {
		return l.profile(ctx)
	}
	return l.measure(ctx)
}

func moduleRoot(ctx context.Context) (string, error) {
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	if _, missing := os.Stat(filepath.Join(root, "xcaddy.sh")); err != nil || missing != nil {
		return "", errors.New("run it in a clone of the repository")
	}
	return root, nil
}

// measure runs the parts that were asked for and reports them. After an error it still
// reports what was measured before.
func (l *lab) measure(ctx context.Context) error {
	r := report{options: l.options, machine: l.machine(ctx)}
	err := l.measureRates(ctx, &r)
	if err == nil && l.options.wants("capacity") && l.options.against == "" {
		r.ways, err = l.capacity(ctx)
	}
	if err == nil && l.options.wants("memory") {
		r.uploads, err = l.measureMemory(ctx)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped: %w", context.Cause(ctx)) // the cause, and not its consequences
	}
	if !r.empty() {
		fmt.Print("\n", r.markdown())
	}
	if err != nil || l.options.out == "" {
		return err
	}
	return r.write(l.options.out)
}

// measureRates runs the parts that share one gateway.
func (l *lab) measureRates(ctx context.Context, r *report) error {
	if l.options.only == "memory" || l.options.only == "capacity" {
		return nil
	}
	g, err := l.start(ctx, l.binary)
	if err != nil {
		return err
	}
	defer g.stop()
	base, err := l.baseline(ctx, g)
	if err != nil {
		return err
	}
	defer base.stop()
	if l.options.wants("rates") {
		r.rates, err = l.rates(ctx, base, g)
	}
	if err == nil && l.options.wants("flood") {
		r.flood, err = l.flood(ctx, base, g)
	}
	if err == nil && l.options.wants("burst") && l.options.against == "" {
		r.burst, err = l.burst(ctx, g)
	}
	return errors.Join(err, g.complaints())
}

// progress prints what is being measured.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

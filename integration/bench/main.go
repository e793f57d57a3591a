// Command bench measures what webhook_auth costs in front of reverse_proxy: the same
// gateway, guarded and plain, in alternating rounds of one run. From the repository:
//
//	go run ./integration/bench                   everything, ten minutes on 2 cores
//	go run ./integration/bench -quick            a quick look, a minute
//	go run ./integration/bench -only latency     one part: rates, latency, capacity or uploads
//	go run ./integration/bench -against v0.1.0   what has changed since a tag, or any other git ref
//	go run ./integration/bench -profile cpu.prof where the guarded gateway spends its time
//
// It needs Linux, Go, git and bash, builds the binary with xcaddy.sh, talks to 127.0.0.1
// only, and writes bench.md for docs/performance.md. The load, the gateway and the app
// share the machine, so a time means nothing by itself: read the ratios. The uploads hold
// 10 GiB of bodies in the temporary folder, so set TMPDIR to a disk with that much room.
//
// The files:
//
//	main.go      the command
//	lab.go       the binaries, and gateways, configured by Caddyfile.tmpl
//	app.go       the app behind a gateway
//	client.go    deliveries, and clients that send them
//	pairs.go     two sides in alternating rounds
//	latency.go   a fixed rate, at which waiting counts
//	capacity.go  what one delivery costs, by its way to the app
//	uploads.go   many large uploads at once
//	clock.go     the processor time and the memory of a process
//	report.go    bench.md, from bench.md.tmpl
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

var parts = []string{"rates", "latency", "capacity", "uploads"}

// options are the flags of the command. Reports show the exported ones.
type options struct {
	Rounds, Rate, Connections, Uploads    int
	Duration, round                       time.Duration
	quick                                 bool
	Against, only, sizes, profile, binary string
}

func main() {
	if os.Getenv(appEnv) != "" {
		exitOn(serveApp())
		return
	}
	o := options{Connections: 64, Uploads: 1000}
	flag.IntVar(&o.Rounds, "rounds", 20, "pairs of rounds of each comparison")
	flag.DurationVar(&o.round, "round", 400*time.Millisecond, "length of a round")
	flag.IntVar(&o.Rate, "rate", 2000, "deliveries a second of the latency part")
	flag.DurationVar(&o.Duration, "duration", time.Minute, "length of the latency part, for each line")
	flag.BoolVar(&o.quick, "quick", false, "6 rounds of 0.2 seconds, 6 seconds of latency, 100 uploads")
	flag.StringVar(&o.only, "only", "", "measure one `part`: "+strings.Join(parts, ", "))
	flag.StringVar(&o.sizes, "sizes", "", "only these `bodies`, such as \"1 KiB,1 MiB\"")
	flag.StringVar(&o.profile, "profile", "", "only write CPU profiles: guarded to `file`, plain to file.plain, and the allocations to file.allocs and file.plain.allocs")
	flag.StringVar(&o.binary, "binary", "", "measure this binary `file` instead of building one")
	flag.StringVar(&o.Against, "against", "", "compare with this `ref` of git, or binary, also guarded, instead of with plain reverse_proxy")
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
func (o *options) settle() error {
	if o.quick {
		o.Rounds, o.round, o.Duration, o.Uploads = 6, 200*time.Millisecond, 6*time.Second, 100
	}
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case o.only != "" && !slices.Contains(parts, o.only):
		return fmt.Errorf("-only %s: the parts are %s", o.only, strings.Join(parts, ", "))
	case len(o.chosen()) == 0:
		return fmt.Errorf("-sizes %s: the bodies are %v", o.sizes, sizes)
	case min(o.Rounds, o.Rate) < 1 || min(o.round, o.Duration) <= 0:
		return errors.New("-rounds, -round, -rate and -duration must be greater than zero")
	}
	return nil
}

// whole reports whether everything is measured, as docs/performance.md shows it.
func (o *options) whole() bool { return !o.quick && o.only == "" && o.sizes == "" && o.Against == "" }

// Command returns the command that repeats the measurement.
func (o *options) Command() string {
	command := fmt.Sprintf("go run ./integration/bench -rounds %d -round %v -rate %d -duration %v", o.Rounds, o.round, o.Rate, o.Duration)
	for _, flag := range [][2]string{{"only", o.only}, {"sizes", o.sizes}, {"against", o.Against}} {
		if flag[1] != "" {
			command += fmt.Sprintf(" -%s %q", flag[0], flag[1])
		}
	}
	return command
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

func run(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	if _, missing := os.Stat(filepath.Join(root, "xcaddy.sh")); err != nil || missing != nil {
		return errors.New("run it in a clone of the repository")
	}
	if _, err := processorTime(os.Getpid()); err != nil {
		return err
	}
	if err := o.settle(); err != nil {
		return err
	}
	// A hanging process ends the run.
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute+4*o.Duration+time.Duration(60*o.Rounds)*o.round)
	defer cancel()
	l, err := newLab(ctx, root, o)
	if err != nil {
		return err
	}
	defer l.close()
	if o.profile != "" {
		return l.profile(ctx)
	}
	return l.measure(ctx, filepath.Join(root, "integration", "bench", "results", "bench.md"))
}

// measure runs the parts that were asked for and reports them, a whole run also in a file.
// After an error it still reports what was measured before.
func (l *lab) measure(ctx context.Context, file string) error {
	r := report{Options: &l.options, Machine: l.machine(ctx)}
	err := l.compareAll(ctx, &r)
	if err == nil && l.options.wants("capacity") && l.options.Against == "" {
		r.Ways, err = l.capacity(ctx)
	}
	if err == nil && l.options.wants("uploads") {
		r.Uploads, err = l.uploadAll(ctx)
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("stopped: %w", context.Cause(ctx)) // the cause, and not its consequences
	}
	text, pageErr := r.markdown()
	fmt.Print("\n", text)
	if err := errors.Join(err, pageErr); err != nil || !l.options.whole() {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

// progress prints what is being measured.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

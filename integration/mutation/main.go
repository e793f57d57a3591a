// Command mutation breaks the code on purpose, one fault at a time, and shows that
// the tests notice each. From the repository:
//
//	go run ./integration/mutation               all faults, about half an hour on 2 cores
//	go run ./integration/mutation -run prefix   those whose name matches
//
// A fault replaces a piece of a source file, see faults.go. The sources are not changed:
// the go command reads the broken file through an overlay. A fault that survives the unit
// tests meets the black box. If one survives that as well, the command ends with status 1.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	only := flag.String("run", "", "apply only faults whose name matches this `expression`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survivors, err := run(ctx, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(2)
	}
	if len(survivors) > 0 {
		fmt.Printf("\n%d live: %s\n", len(survivors), strings.Join(survivors, ", "))
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) (survivors []string, err error) {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	killed := 0
	for _, f := range faults {
		if !wanted.MatchString(f.name) {
			continue
		}
		start := time.Now()
		by, err := f.killedBy(ctx, root)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
			continue
		}
		if by == "" {
			survivors, by = append(survivors, f.name), "NOTHING"
		} else {
			killed++
		}
		fmt.Printf("%-50s %-40s %s\n", f.name, by, time.Since(start).Round(time.Second))
	}
	fmt.Printf("\n%d of the faults are killed by the tests\n", killed)
	return survivors, errors.Join(errs...)
}

func moduleRoot(ctx context.Context) (string, error) {
	gomod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(gomod))), err
}

// stages are the tests in the order in which they run, and how long each may take: the
// fault's own package, everything except the black box, the black box.
func (f *fault) stages() [][2]string {
	return [][2]string{
		{"./" + filepath.ToSlash(filepath.Dir(f.file)), "1m"},
		{"./caddymodule/...", "5m"},
		{"./integration", "15m"},
	}
}

// killedBy returns the first test that fails.
func (f *fault) killedBy(ctx context.Context, root string) (string, error) {
	overlay, cleanup, err := f.overlay(root)
	if err != nil {
		return "", err
	}
	defer cleanup()
	environ := append(os.Environ(), "GOFLAGS=-overlay="+overlay)
	for _, stage := range f.stages() {
		output, err := command(ctx, root, environ, "test", "-failfast", "-timeout", stage[1], stage[0]).CombinedOutput()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if bytes.Contains(output, []byte("[build failed]")) {
			return "", fmt.Errorf("it does not compile, so it proves nothing:\n%s", output)
		}
		if err != nil {
			return culprit(output), nil
		}
	}
	return "", nil
}

func command(ctx context.Context, root string, environ []string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", arguments...) //nolint:gosec // our own table
	cmd.Dir, cmd.Env = root, environ
	return cmd
}

// overlay writes the broken file, and the overlay that makes the go command read it.
func (f *fault) overlay(root string) (path string, cleanup func(), err error) {
	broken, err := f.apply(root)
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "mutation-*")
	if err != nil {
		return "", nil, err
	}
	file := filepath.Join(dir, filepath.Base(f.file))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, f.file): file}})
	path = filepath.Join(dir, "overlay.json")
	err = errors.Join(err, os.WriteFile(file, broken, 0o600), os.WriteFile(path, replace, 0o600))
	return path, func() { _ = os.RemoveAll(dir) }, err
}

// apply returns the broken file. The sound piece must occur exactly once, so that a fault
// does not outlive its code.
func (f *fault) apply(root string) ([]byte, error) {
	source, err := os.ReadFile(filepath.Join(root, f.file)) //nolint:gosec // our own table
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(source, []byte(f.sound)); n != 1 {
		return nil, fmt.Errorf("%s has %q %d times, not once", f.file, f.sound, n)
	}
	return bytes.Replace(source, []byte(f.sound), []byte(f.broken), 1), nil
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// culprit returns the name of the first test that failed, or what ended the run.
func culprit(output []byte) string {
	if match := failed.FindSubmatch(output); match != nil {
		return string(match[1])
	}
	if bytes.Contains(output, []byte("panic: test timed out")) {
		return "a test that hangs"
	}
	if bytes.Contains(output, []byte("panic:")) {
		return "a panic"
	}
	return "a failure without a test's name"
}

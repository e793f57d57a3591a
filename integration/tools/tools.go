// Package tools finds the tools that tests run. Where CI is set, a test fails if its
// tool is missing: a test that CI skips is a promise that nobody checked.
package tools

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
)

// absent lists, by system, the tools that even CI does not have there.
var absent = map[string][]string{
	"windows": {"redis-server", "sh"}, // Redis has no build for Windows
}

// Need returns the path of a tool, or ends the test without it.
func Need(t testing.TB, name string) string {
	t.Helper()
	has, err := Has(name)
	if err != nil {
		t.Fatal(err)
	}
	if !has {
		t.Skipf("%s is not installed; this test needs it", name)
	}
	path, _ := exec.LookPath(name)
	return path
}

// Has reports whether a tool is installed. A missing tool is an error in CI.
func Has(name string) (bool, error) {
	_, err := exec.LookPath(name)
	if err != nil && inCI() && !slices.Contains(absent[runtime.GOOS], name) {
		return false, fmt.Errorf("CI skips no test: %w", err)
	}
	return err == nil, nil
}

// Skip skips a test that lacks something else than a tool. In CI the test fails.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if inCI() {
		t.Fatalf("CI skips no test: "+format, args...)
	}
	t.Skipf(format, args...)
}

func inCI() bool { return os.Getenv("CI") != "" }

package main

import (
	"path/filepath"
	"testing"
)

// TestFaults: the code of each fault exists, and no fault is listed twice. The command
// itself takes half an hour; it runs by hand and at night.
func TestFaults(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, f := range faults {
		if seen[f.name] || seen[f.file+f.sound+f.broken] || f.sound == f.broken {
			t.Errorf("%s: it is listed twice or changes nothing", f.name)
		}
		seen[f.name], seen[f.file+f.sound+f.broken] = true, true
		if _, err := f.apply(root); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	if len(faults) < 40 {
		t.Errorf("only %d faults", len(faults))
	}
}

func TestCulprit(t *testing.T) {
	for _, tt := range []struct{ output, want string }{
		{"ok\n--- FAIL: TestOne (0.00s)\n--- FAIL: TestTwo (0.00s)\n", "TestOne"},
		{"panic: runtime error\n", "a panic"},
		{"FAIL\n", "a failure without a test's name"},
	} {
		if got := culprit([]byte(tt.output)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.output, got, tt.want)
		}
	}
}

package tools

import (
	"runtime"
	"testing"
)

// TestHas: CI accepts a missing tool only on a system that has no such tool.
func TestHas(t *testing.T) {
	const installed, missing, elsewhere = "go", "no-such-tool", "no-such-tool-here"
	saved := absent
	t.Cleanup(func() { absent = saved })
	absent = map[string][]string{runtime.GOOS: {elsewhere}, "another system": {missing}}
	for _, tt := range []struct {
		tool, ci  string
		has, fail bool
	}{
		{installed, "", true, false},
		{installed, "true", true, false},
		{missing, "", false, false},
		{missing, "true", false, true},
		{elsewhere, "", false, false},
		{elsewhere, "true", false, false},
	} {
		t.Setenv("CI", tt.ci)
		if has, err := Has(tt.tool); has != tt.has || (err != nil) != tt.fail {
			t.Errorf("Has(%q) with CI=%q: %v, %v", tt.tool, tt.ci, has, err)
		}
	}
}

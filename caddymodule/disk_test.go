package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A gate whose larger bodies could never be held does not load; one that needs no
// disk does.
func TestNoTemporaryFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "nowhere"), file} {
		t.Setenv("TMPDIR", dir)
		t.Setenv("TMP", dir) // Windows
		gate := func(sizes string) string {
			return fmt.Sprintf(`{"name":"disk","secrets":[{"value":%q}]%s}`, testSecret, sizes)
		}
		for _, sizes := range []string{"", `,"max_size":2097152`, `,"memory":1`} {
			err := provisionJSON(t, false, gate(sizes))
			if err == nil || !strings.Contains(err.Error(), "TMPDIR") || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s, %s: error %v", dir, sizes, err)
			}
		}
		for _, sizes := range []string{`,"max_size":1048576`, `,"memory":26214400`} {
			if err := provisionJSON(t, false, gate(sizes)); err != nil {
				t.Errorf("%s: %v", sizes, err)
			}
		}
	}
}

// A disk that is full today may have room tomorrow.
func TestFullDiskLoads(t *testing.T) {
	for err, loads := range map[error]bool{nil: true, syscall.ENOSPC: true, syscall.ENOENT: false, syscall.EACCES: false, syscall.EROFS: false} {
		a := new(App)
		if err != nil {
			a.noDisk = &os.PathError{Op: "open", Path: "/tmp", Err: err}
		}
		if got := a.needDisk(2, 1) == nil; got != loads {
			t.Errorf("%v: loads is %v", err, got)
		}
	}
}

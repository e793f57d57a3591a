package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// On a file system without unnamed files, the file loses its name at once.
func TestFallback(t *testing.T) {
	dir := t.TempDir()
	file, path, err := createNamed(dir)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); runtime.GOOS != "windows" && (path != "" || len(left) > 0) {
		t.Errorf("visible: %q %v", path, left)
	}
	if info, err := file.Stat(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := file.WriteString("body"); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(io.NewSectionReader(file, 0, 10)); string(text) != "body" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	remove(file, path)
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, _, err := createNamed(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// A file gets a name only if the system has no other way. On a full disk, or in a
// process with too many open files, the name could stay behind.
func TestLacksUnnamed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has unnamed files")
	}
	for err, want := range map[syscall.Errno]bool{
		syscall.EOPNOTSUPP: true, syscall.ENOSYS: true, syscall.EISDIR: true, syscall.EINVAL: true,
		syscall.ENOENT: false, syscall.ENOSPC: false, syscall.EACCES: false, syscall.EMFILE: false,
		syscall.ENFILE: false, syscall.EROFS: false, syscall.EIO: false, syscall.EINTR: false,
	} {
		if got := lacksUnnamed(&os.PathError{Op: "open", Path: "/tmp", Err: err}); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

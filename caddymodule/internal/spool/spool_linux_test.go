package spool_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

// On Linux the file of a body never has a name, so that a process that is killed leaves
// none behind. The test watches the folder's events, because a listing would miss a name
// that exists for an instant.
func TestNoName(t *testing.T) {
	dir := temporary(t)
	names := watchNames(t, dir)
	if err := spool.Try(); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		b := new(spool.Body)
		if err := b.Fill(bytes.NewReader(content(9, 100*kib)), io.Discard, -1, spool.Limits{Size: mib}, plenty()); err != nil {
			t.Fatal(err)
		}
		wantBytes(t, b, content(9, 100*kib))
		b.Release()
	}
	if names() {
		t.Error("a file had a name")
	}
	if err := os.WriteFile(dir+"/x", nil, 0o600); err != nil || !names() {
		t.Errorf("the watch misses a name, error %v", err)
	}
}

// watchNames returns a function that reports whether a name was added or removed in dir.
func watchNames(t *testing.T, dir string) func() bool {
	t.Helper()
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	const names = syscall.IN_CREATE | syscall.IN_DELETE | syscall.IN_MOVED_FROM | syscall.IN_MOVED_TO
	if _, err := syscall.InotifyAddWatch(fd, dir, names); err != nil {
		t.Fatal(err)
	}
	return func() bool {
		n, err := syscall.Read(fd, make([]byte, 4096))
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Error(err)
		}
		return n > 0
	}
}

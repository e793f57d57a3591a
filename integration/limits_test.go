package integration_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// No wait in these tests is unbounded. A wait that takes too long fails the test and says
// what it waited for and what it saw instead. A loop uses await, a channel ends, a process
// command or end, an HTTP client newClient, and a raw socket a deadline of patience.

// patience is how long a test waits for something that must happen. It is far below
// Caddy's own 60 s, so a test of something that must happen soon fails in time. No test
// measures it.
const patience = 20 * time.Second

// processPatience is how long a process that ends by itself may take. A build on a busy
// machine takes minutes.
const processPatience = 10 * time.Minute

// await calls try until it is done. It fails the test after patience, with what try
// saw last.
func await(t testing.TB, what string, try func() (seen any, done bool)) {
	t.Helper()
	if seen, done := tries(patience, try); !done {
		t.Fatalf("waiting for %s: after %v the last thing seen is %v", what, patience, seen)
	}
}

// tries calls try until it is done or the limit has passed.
func tries(limit time.Duration, try func() (seen any, done bool)) (seen any, done bool) {
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if seen, done = try(); done || time.Now().After(deadline) {
			return seen, done
		}
	}
}

// ends returns when c is closed or has a value. It fails the test after patience.
func ends[T any](t testing.TB, what string, c <-chan T) (received T) {
	t.Helper()
	select {
	case received = <-c:
	case <-time.After(patience):
		t.Errorf("waiting for %s: nothing for %v", what, patience)
	}
	return received
}

// command returns a process that must end by itself. If it does not, it prints its stacks
// and the test fails.
func command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), processPatience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = patience // after that it is killed
	cmd.Cancel = func() error {
		t.Errorf("%s %q has not ended after %v", filepath.Base(name), args, processPatience)
		return abort(cmd.Process)
	}
	return cmd
}

// end waits for a process that was told to end, and kills one that does not.
func end(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	late := time.AfterFunc(patience, func() {
		t.Errorf("%s has not ended after %v", filepath.Base(cmd.Path), patience)
		cmd.Process.Kill()
	})
	defer late.Stop()
	cmd.WaitDelay = patience // a child of it may hold its output open
	cmd.Wait()
}

// newClient returns an HTTP client whose requests time out.
func newClient(transport *http.Transport) *http.Client {
	return &http.Client{Transport: transport, Timeout: 3 * patience}
}

// overSocket returns a transport over a Unix socket.
func overSocket(path string) *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}
}

// dial connects, with a deadline for the whole connection.
func dial(addr string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(patience))
}

package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pattern returns n bytes in which every stretch is different, and different for every
// seed, so that a byte of another body is always found.
func pattern(seed, n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d.%d ", seed, i)
	}
	return b.String()[:n]
}

// budgets is a gate with global budgets.
func budgets(a *app, global string, options ...string) string {
	return "{\n\twebhook_auth {\n\t\t" + global + "\n\t}\n}\n" + canonical(a, options...)
}

// wantNoFile fails the test if a spooled body can be seen in dir.
func wantNoFile(t *testing.T, dir string) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("in the folder for temporary files: %v, %v", left, err)
	}
}

// TestBodiesOfAnySize: many bodies at once arrive byte for byte: in memory, around the
// boundaries of segments and shares, and on disk.
func TestBodiesOfAnySize(t *testing.T) {
	t.Parallel()
	a, dir := startApp(t), t.TempDir()
	g := startGateway(t, budgets(a, "memory_budget 1MiB", "memory 128KiB"), "TMPDIR="+dir)
	var senders sync.WaitGroup
	for i, size := range []int{0, 1, 4095, 4096, 4097, 69_631, 69_632, 69_633, 131_071, 131_072, 200_000, 300_000, 1_000_000, 5_000_000} {
		senders.Go(func() {
			g.accepts(t, a, authentic(pattern(i, size)))
			g.accepts(t, a, authentic(pattern(i+100, size)).chunks())
			g.refused(t, a, post(pattern(i, size), forgedField), 401, "signature_mismatch")
		})
	}
	senders.Wait()
	wantNoFile(t, dir)
}

// TestDiskBudget: beyond the budget the sender is asked to retry, small deliveries still
// pass, and released room can be used again. A reload changes the budget.
func TestDiskBudget(t *testing.T) {
	t.Parallel()
	a, dir := startApp(t), t.TempDir()
	g := startGateway(t, budgets(a, "disk_budget 2MiB", "memory 1MiB"), "TMPDIR="+dir)
	large := authentic(pattern(1, 3_000_000))
	resp := g.refused(t, a, large, http.StatusServiceUnavailable, "overloaded")
	if resp.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After:\n%s", resp.head)
	}
	for range 3 {
		g.refused(t, a, large.chunks(), http.StatusServiceUnavailable, "overloaded")
		g.accepts(t, a, authentic(pattern(2, 1_500_000)))
		g.accepts(t, a, authentic(chatBotKit))
	}
	g.write(t, canonical(a, "memory 1MiB"))
	g.load(t)
	g.accepts(t, a, authentic(pattern(3, 3_000_000)))
	wantNoFile(t, dir)
}

// TestFailedReloadKeepsBudgets: a configuration that cannot start does not leave its
// budgets behind. Caddy starts apps in any order, so the test tries several times.
func TestFailedReloadKeepsBudgets(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "memory 1MiB"))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	g.write(t, budgets(a, "disk_budget 1B")+"http://"+taken.Addr().String()+" {\n\trespond no\n}\n")
	for range 8 {
		if output, ok := g.reload(t); ok {
			t.Fatalf("it loads:\n%s", output)
		}
		g.accepts(t, a, authentic(pattern(1, 3_000_000)))
	}
}

// TestDiskIsFull: the same with a disk that is really full.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	dir, err := smallDisk(t, 2)
	if err != nil {
		skip(t, "a small disk can only be made by root, on Linux: %v", err)
	}
	a := startApp(t)
	g := startGateway(t, canonical(a, "memory 1MiB"), "TMPDIR="+dir)
	for range 3 {
		resp := g.refused(t, a, authentic(pattern(1, 5_000_000)), http.StatusServiceUnavailable, "overloaded")
		if resp.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After:\n%s", resp.head)
		}
		g.accepts(t, a, authentic(pattern(2, 1_500_000)))
		g.accepts(t, a, authentic(chatBotKit))
	}
	wantNoFile(t, dir)
}

// TestKilled: nothing is left of a body on disk, not even after kill -9.
func TestKilled(t *testing.T) {
	t.Parallel()
	a, dir := startApp(t), t.TempDir()
	g := startGateway(t, canonical(a, "memory 1MiB"), "TMPDIR="+dir)
	body := pattern(1, 5_000_000)
	d := authentic(body)
	c := g.dial(t)
	if _, err := c.Write([]byte(d.head() + body[:4_000_000])); err != nil { // more than sockets buffer
		t.Fatal(err)
	}
	wantNoFile(t, dir)
	g.process.Process.Kill()
	ends(t, "the end of the gateway", g.log.ended)
	wantNoFile(t, dir)
}

// TestStalledBodies: a sender that stops in the middle holds a little memory, and nothing
// that another sender needs.
func TestStalledBodies(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, budgets(a, "memory_budget 1MiB", "body_timeout 2s"))
	for i := range 200 {
		stalled := post(pattern(i, 100_000), forgedField)
		g.dial(t).send(stalled.head() + stalled.content()[:20_000])
	}
	for i := range 20 {
		g.accepts(t, a, authentic(chatBotKit))
		g.accepts(t, a, authentic(pattern(i, 200_000)))
	}
	g.log.waitFor(t, 100, "the end of the stalled bodies", reason("body_timeout"))
	g.accepts(t, a, authentic(chatBotKit))
}

// TestLargeBodiesInMemory: while less than half of memory_budget is in use, a large body
// needs no disk, unless memory is written. Beyond that it needs one, with or without a
// declared length, and small bodies still do not.
func TestLargeBodiesInMemory(t *testing.T) {
	t.Parallel()
	a, dir := startApp(t), filepath.Join(t.TempDir(), "spool")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	g := startGateway(t, budgets(a, "memory_budget 8MiB"), "TMPDIR="+dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	large := func() delivery { return authentic(pattern(1, 3_900_000)) }
	larger := authentic(pattern(2, 4_200_000))
	for range 3 { // what one body took is given back
		g.accepts(t, a, large())
		g.accepts(t, a, large().chunks())
		for _, d := range []delivery{larger, larger.chunks()} {
			g.refused(t, a, d, http.StatusServiceUnavailable, "overloaded")
		}
	}
	held := pattern(4, 3_000_000)
	c := g.dial(t)
	c.send(authentic(held).head() + held[:2_900_000])
	if held, has := tries(patience, func() (any, bool) { n := g.held(t); return n, n > 2_800_000 }); !has {
		t.Fatalf("the gateway holds %v bytes of a body that has not ended", held)
	}
	g.refused(t, a, large(), http.StatusServiceUnavailable, "overloaded")
	g.accepts(t, a, authentic(pattern(3, 1_000_000)))
	c.Close()
	g.atRest(t)
	g.accepts(t, a, large())
}

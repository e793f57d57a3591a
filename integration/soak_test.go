package integration_test

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// soakVariable sets how long TestSoak sends, after its warm-up. An hour:
//
//	WEBHOOK_AUTH_SOAK=1h go test ./integration -run TestSoak -timeout 90m -v
const soakVariable = "WEBHOOK_AUTH_SOAK"

func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(soakVariable)
	switch {
	case text == "" && os.Getenv("CI") != "":
		return time.Minute
	case text == "":
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", soakVariable, err)
	}
	return d
}

// TestSoak sends bodies of all sizes for a while, a fifth of them forged and some broken
// off. Each delivery that was answered 200 reached the app once, byte for byte, and
// nothing else did. At the end the gateway uses no more of the machine than after the
// warm-up.
func TestSoak(t *testing.T) {
	t.Parallel()
	duration := soakTime(t)
	l, dir := startLedger(t), t.TempDir()
	g := startGateway(t, budgets(l.app(), "memory_budget 16MiB", "memory 256KiB"), "TMPDIR="+dir)
	secret := func() string { return testSecret }
	lost := func(e errand, err error) { t.Errorf("errand %d: %v", e.number, err) }
	run := func(d time.Duration) census {
		ld := startLoad(l, g.addr, 8, secret, lost)
		time.Sleep(d)
		ld.stop()
		return g.census(t)
	}
	before := run(min(max(duration/5, 3*time.Second), 2*time.Minute))
	after := run(duration)
	got, answers := l.count()
	t.Logf("%d deliveries reached the app, %d answers; %+v after the warm-up, %+v at the end", got, answers, before, after)
	if got < 20 || answers <= got {
		t.Errorf("%d deliveries and %d answers: that was no load", got, answers)
	}
	wantNoFile(t, dir)
	after.wantFlat(t, before)
}

// A census is what an idle gateway uses. Numbers that the system does not show are 0.
type census struct {
	Resident   int // KiB
	Heap       int // KiB, of Go
	Goroutines int
	Files      int
}

// census waits until the gateway holds no bodies, and runs its garbage collector.
func (g *gateway) census(t *testing.T) (c census) {
	t.Helper()
	g.atRest(t)
	for range 2 { // a sync.Pool survives one collection
		g.admin(t, "/debug/pprof/heap?gc=1")
	}
	c.Goroutines, c.Heap = g.goMetric(t, "go_goroutines"), g.goMetric(t, "go_memstats_heap_inuse_bytes")>>10
	if runtime.GOOS != "linux" {
		return c
	}
	proc := filepath.Join("/proc", strconv.Itoa(g.process.Process.Pid))
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	c.Files = len(files)
	_, rest, _ := strings.Cut(string(readFile(t, filepath.Join(proc, "status"))), "VmRSS:")
	c.Resident, err = strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// atRest waits until every body is released.
func (g *gateway) atRest(t *testing.T) {
	t.Helper()
	held, atRest := tries(2*patience, func() (any, bool) {
		held := g.held(t)
		return held, held == 0
	})
	if !atRest {
		t.Fatalf("the gateway still holds %v bytes of bodies", held)
	}
}

// held returns how many bytes of bodies the gateway holds, in memory and on disk.
func (g *gateway) held(t *testing.T) float64 {
	t.Helper()
	m := g.metrics(t)
	return m[`buffered_bytes{where="memory"}`] + m[`buffered_bytes{where="disk"}`]
}

func (g *gateway) goMetric(t *testing.T, name string) int {
	t.Helper()
	for lines := bufio.NewScanner(strings.NewReader(g.admin(t, "/metrics"))); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(value)
		}
	}
	t.Fatalf("the metric %s is missing", name)
	return 0
}

// wantFlat leaves room for idle connections and for heap that Go has not returned to the
// system. A leak of a thousand deliveries is larger.
func (c census) wantFlat(t *testing.T, before census) {
	t.Helper()
	for _, tt := range []struct {
		what                 string
		before, after, spare int
	}{
		{"KiB of resident memory", before.Resident, c.Resident, before.Resident/2 + 64<<10},
		{"KiB of heap", before.Heap, c.Heap, before.Heap/4 + 16<<10},
		{"goroutines", before.Goroutines, c.Goroutines, 64},
		{"open files", before.Files, c.Files, 32},
	} {
		if tt.after > tt.before+tt.spare {
			t.Errorf("%d %s, %d after the warm-up", tt.after, tt.what, tt.before)
		}
	}
}

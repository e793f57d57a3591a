package tenant_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/tenant"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// aged writes a file that nobody is still writing.
func aged(t testing.TB, path, text string) {
	t.Helper()
	write(t, path, text)
	hour := time.Now().Add(-time.Hour)
	must(t, os.Chtimes(path, hour, hour))
}

var notNames = []string{
	"", ".", "..", "...", ".hidden", "..data", "-a", "a-", "a.", ".a", "a/b", "a\\b", "../a", "a/../b", "/etc/passwd", "a\x00", "a\n", "a b", "ä", "a％2f",
	"a%2fb", "a;b", "a,b", "a:b", "con ", strings.Repeat("a", 65), "a\u202eb", "~", "*", "{a}",
}

func TestNames(t *testing.T) {
	for _, name := range notNames {
		if tenant.IsName(name) {
			t.Errorf("%q is a name", name)
		}
	}
	for _, name := range []string{"a", "acme", "ACME", "a.b-c_d", "_a", "7", "6f9619ff-8b86-d011-b42d-00c04fc964ff", strings.Repeat("a", 64)} {
		if !tenant.IsName(name) {
			t.Errorf("%q is no name", name)
		}
	}
}

// FuzzNames: no name reaches a file outside of the folder, and no file of another name.
func FuzzNames(f *testing.F) {
	parent := f.TempDir()
	folder := filepath.Join(parent, "folder")
	must(f, os.MkdirAll(filepath.Join(folder, "sub"), 0o700))
	write(f, filepath.Join(parent, "outside"), "outside")
	write(f, filepath.Join(folder, "sub", "below"), "below")
	write(f, filepath.Join(folder, "acme"), "acme")
	must(f, os.Symlink("../outside", filepath.Join(folder, "link")), os.Symlink(filepath.Join(parent, "outside"), filepath.Join(folder, "absolute")))
	for _, name := range append(notNames, "acme", "link", "absolute", "sub", "sub/below", "../outside") {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if file, err := tenant.Folder(folder).Read(name); err == nil && (name != "acme" || file.Text != "acme") {
			t.Errorf("%q: %q", name, file.Text)
		}
	})
}

// Kubernetes makes every file of a mounted secret a symbolic link to one behind another link,
// and changes all of them by changing that one.
func TestKubelet(t *testing.T) {
	folder := t.TempDir()
	for _, version := range []string{"1", "2"} {
		must(t, os.Mkdir(filepath.Join(folder, "..v"+version), 0o700))
		aged(t, filepath.Join(folder, "..v"+version, "acme"), version)
		must(t, os.Symlink("..v"+version, filepath.Join(folder, "..tmp")), os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data")))
		_ = os.Symlink("..data/acme", filepath.Join(folder, "acme"))
		if file, err := tenant.Folder(folder).Read("acme"); err != nil || file.Text != version {
			t.Errorf("%q, %v", file.Text, err)
		}
	}
	if names, err := tenant.Folder(folder).Names(); err != nil || fmt.Sprint(names) != "[acme]" {
		t.Errorf("%v, %v", names, err)
	}
}

// A cache that counts what it compiles, and refuses what begins with "bad".
type cache struct {
	*tenant.Cache[string]
	folder   string
	mu       sync.Mutex
	compiled int
	reports  []string
}

func newCache(t testing.TB) *cache {
	c := &cache{folder: t.TempDir()}
	compile := func(_, text string) (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.compiled++
		if strings.HasPrefix(text, "bad") {
			return "", errors.New("it is bad")
		}
		return text, nil
	}
	c.Cache = tenant.NewCache(tenant.Folder(c.folder), compile, func(name string, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.reports = append(c.reports, name+": "+err.Error())
	})
	return c
}

func (c *cache) path(name string) string { return filepath.Join(c.folder, name) }

func (c *cache) wants(t *testing.T, name, want string) {
	t.Helper()
	got, err := c.Get(name)
	if want == "" && !errors.Is(err, tenant.ErrUnknown) || want != "" && err != nil || got != want {
		t.Errorf("%s: %q, %v; want %q", name, got, err, want)
	}
}

// eventually waits until the tenant is that, which takes as long as a file is not read again.
func (c *cache) eventually(t *testing.T, name, want string) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if got, _ := c.Get(name); got == want {
			return
		}
		if time.Since(start) > 8*time.Second {
			t.Fatalf("%s is not %q", name, want)
		}
	}
}

// What changes is noticed, and what cannot be used changes nothing.
func TestCacheFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // with its clock, a file that is written now is younger than any
		c := newCache(t)
		c.wants(t, "acme", "")
		aged(t, c.path("acme"), "one")
		c.wants(t, "acme", "") // it is known that there was no file
		c.eventually(t, "acme", "one")
		aged(t, c.path("acme"), "two")
		c.wants(t, "acme", "one")
		c.eventually(t, "acme", "two")
		write(t, c.path("acme"), "three, written just now")
		c.eventually(t, "acme", "three, written just now")
		aged(t, c.path("acme"), "bad")
		time.Sleep(6 * time.Second)
		for range 3 {
			c.wants(t, "acme", "three, written just now")
		}
		must(t, os.Remove(c.path("acme")))
		c.eventually(t, "acme", "")
		if fmt.Sprint(c.reports) != "[acme: it is bad]" {
			t.Errorf("reported %q", c.reports)
		}
	})
}

// A text that is written in two parts is not taken for its first part, once a tenant is in
// use.
func TestCacheHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // with its clock, a file that is written now is younger than any
		c := newCache(t)
		aged(t, c.path("acme"), "old")
		c.wants(t, "acme", "old")
		time.Sleep(5100 * time.Millisecond)
		write(t, c.path("acme"), "ha")
		c.wants(t, "acme", "old")
		time.Sleep(500 * time.Millisecond)
		write(t, c.path("acme"), "half")
		c.wants(t, "acme", "old")
		c.eventually(t, "acme", "half")
	})
}

// What is compiled while the rules change is compiled again.
func TestRulesChangeMeanwhile(t *testing.T) {
	folder := t.TempDir()
	aged(t, filepath.Join(folder, "acme"), "text")
	var c *tenant.Cache[int]
	calls := 0
	c = tenant.NewCache(tenant.Folder(folder), func(string, string) (int, error) {
		if calls++; calls == 1 {
			c.Judge(func(int) bool { return true })
		}
		return calls, nil
	}, nil)
	if got, err := c.Get("acme"); got != 2 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

// New rules drop who does not meet them, and nobody else, also where a file cannot be used
// just now.
func TestRulesChange(t *testing.T) {
	c := newCache(t)
	for _, name := range []string{"stays", "goes"} {
		aged(t, c.path(name), name)
		c.wants(t, name, name)
		aged(t, c.path(name), "bad")
	}
	c.Judge(func(text string) bool { return text == "stays" })
	c.wants(t, "stays", "stays")
	c.wants(t, "goes", "")
}

// What cannot be used is reported once for each content, however often it is asked for.
func TestReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t)
		for _, text := range []string{"bad", "bad as well"} {
			aged(t, c.path("broken"), text)
			for range 2 {
				c.wants(t, "broken", "")
				time.Sleep(2100 * time.Millisecond)
			}
		}
		must(t, os.Rename(c.folder, c.folder+".away"))
		for n := range 100 {
			_, _ = c.Get(fmt.Sprint("other", n))
		}
		if len(c.reports) != 3 {
			t.Errorf("reported %q, want each text and the folder once", c.reports)
		}
	})
}

// Names that a stranger makes up drive no tenant out, and memory is bounded.
func TestManyNames(t *testing.T) {
	c := newCache(t)
	const tenants = 500
	for n := range tenants {
		aged(t, c.path(fmt.Sprint("t", n)), fmt.Sprint(n))
		c.wants(t, fmt.Sprint("t", n), fmt.Sprint(n))
	}
	began := time.Now()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5000 {
				_, _ = c.Get(fmt.Sprintf("x%016x", rand.Uint64()))
			}
		})
	}
	all.Wait()
	if time.Since(began) < 4*time.Second { // else some are read again
		for n := range tenants {
			c.wants(t, fmt.Sprint("t", n), fmt.Sprint(n))
		}
		if c.compiled != tenants {
			t.Errorf("%d compiled, want %d", c.compiled, tenants)
		}
	}
}

// Many files that are read at once are not in the way of the next one, which waits a moment.
func TestManyAtOnce(t *testing.T) {
	folder := t.TempDir()
	c := tenant.NewCache(tenant.Folder(folder), func(string, string) (int, error) {
		time.Sleep(200 * time.Millisecond)
		return 0, nil
	}, nil)
	var all sync.WaitGroup
	for n := range 200 {
		name := fmt.Sprint("t", n)
		aged(t, filepath.Join(folder, name), name)
		all.Go(func() {
			if _, err := c.Get(name); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// Two spellings of a name are two tenants only where the disk tells them apart.
func TestCases(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "acme"), "text")
	must(t, os.Symlink("acme", filepath.Join(folder, "ACME"))) // as a disk that does not
	if _, err := tenant.Folder(folder).Read("ACME"); !errors.Is(err, tenant.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := tenant.Folder(folder).Read("acme"); err != nil {
		t.Error(err)
	}
}

// A folder that is away refuses names, and takes nothing from tenants in use.
func TestFolderIsAway(t *testing.T) {
	c := newCache(t)
	aged(t, c.path("acme"), "text")
	c.wants(t, "acme", "text")
	must(t, os.Rename(c.folder, c.folder+".away"))
	c.wants(t, "acme", "text")
	if _, err := c.Get("other"); !errors.Is(err, tenant.ErrBusy) {
		t.Errorf("nobody can know whether there is such a tenant: %v", err)
	}
}

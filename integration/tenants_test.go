package integration_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// ofTenant is the secret of a tenant.
func ofTenant(name string) string { return "wk-" + name + "-" + testSecret[5:45] }

// platform is a gateway for many tenants.
func platform(t *testing.T, a *app, options ...string) (g *gateway, folder string) {
	t.Helper()
	g = newGateway(t)
	folder = filepath.Join(g.dir, "tenants")
	must(t, os.Mkdir(folder, 0o700))
	g.write(t, ":{$PORT} {\n\thandle /hooks/* {\n\t\twebhook_auth {\n\t\t\ttenants "+folder+" {path.1}\n\t\t\t"+strings.Join(options, "\n\t\t\t")+
		"\n\t\t}\n\t\treverse_proxy "+a.addr+" {\n\t\t\theader_up -X_Tenant\n\t\t\theader_up X-Tenant {http.webhook_auth.tenant}\n\t\t}\n\t}\n\trespond 404\n}\n")
	return g, folder
}

// toTenant is a delivery to a tenant, signed with a secret.
func toTenant(name, secret string, fields ...string) delivery {
	return post(chatBotKit, append(fields, signedWith(secret, []byte(chatBotKit)))...).with(http.MethodPost, "/hooks/"+name)
}

// TestTenants: each tenant has a secret of its own, and the app is told whose delivery it is.
func TestTenants(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g, folder := platform(t, a, "replay 1h")
	for _, name := range []string{"acme", "globex"} {
		writeFile(t, filepath.Join(folder, name), ofTenant(name)+"\n")
	}
	writeFile(t, filepath.Join(folder, "two"), "new: "+ofTenant("new")+"\r\n\r\nold: "+ofTenant("old")+"\r\n")
	writeFile(t, filepath.Join(folder, "broken"), "changeme")
	g.start(t)

	for name, secret := range map[string]string{"acme": "acme", "globex": "globex", "two": "old"} {
		d := toTenant(name, ofTenant(secret), "X-Tenant: somebody-else", "X_tenant: somebody-else")
		a.expect(d.id)
		answered(t, g.deliver(t, d))
		raw := string(a.once(t, d.id).Raw)
		if got := fieldLines(raw, "X-Tenant"); fmt.Sprint(got) != "["+name+"]" || strings.Contains(raw, "somebody-else") {
			t.Errorf("%s: the app is told %q", name, raw)
		}
	}
	again := toTenant("acme", ofTenant("acme"))
	if resp := g.deliver(t, again); resp.header.Get("Webhook-Auth-Duplicate") != "true" {
		t.Errorf("a repetition: %d", resp.status)
	}
	a.nothing(t, again.id)
	g.refused(t, a, toTenant("two", ofTenant("new"), "X-Hub-Signature: sha256=00"), 401, "ambiguous_signature")

	wrong := g.refused(t, a, toTenant("acme", ofTenant("globex")), 401, "signature_mismatch")
	for name, d := range map[string]delivery{
		"unknown": toTenant("nobody", ofTenant("acme")),
		"broken":  toTenant("broken", "changeme"),
		"no name": toTenant(".acme", ofTenant("acme")),
	} {
		resp := g.refused(t, a, d, 401, "tenant_unknown")
		if sameHead(resp.head) != sameHead(wrong.head) {
			t.Errorf("%s: answered\n%s\nand a wrong signature\n%s", name, resp.head, wrong.head)
		}
	}
	g.log.wait(t, "the broken file", func(e entry) bool {
		return e.text("tenant") == "broken" && e.text("msg") == "the file of a tenant cannot be used" && strings.Contains(e.text("error"), "sample")
	})
	g.log.wait(t, "the refusal", func(e entry) bool { return e.text("tenant") == "nobody" && e.text("reason") == "tenant_unknown" })
	if all := g.history(t, ""); len(all) == 0 || all[0].Tenant == "" {
		t.Errorf("the history: %+v", all)
	}
	if scrape := g.admin(t, "/metrics"); strings.Contains(scrape, "globex") {
		t.Error("a metric has the name of a tenant")
	}
}

// TestTenantFiles: a file is followed without a reload, and a tenant without a file is none.
func TestTenantFiles(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g, folder := platform(t, a)
	path := filepath.Join(folder, "acme")
	writeFile(t, path, ofTenant("one"))
	g.start(t)
	becomes := func(what, secret string, status int) {
		t.Helper()
		await(t, what, func() (any, bool) {
			d := toTenant("acme", secret)
			a.expect(d.id)
			got := g.deliver(t, d).status
			return got, got == status
		})
	}
	g.accepts(t, a, toTenant("acme", ofTenant("one")))
	renames(t, path, ofTenant("two")+"\n"+ofTenant("one"))
	becomes("the new secret", ofTenant("two"), 200)
	g.accepts(t, a, toTenant("acme", ofTenant("one")))
	renames(t, path, ofTenant("two"))
	becomes("the removal of the old one", ofTenant("one"), 401)
	g.accepts(t, a, toTenant("acme", ofTenant("two")))
	must(t, os.Remove(path))
	becomes("the removal of the file", ofTenant("two"), 401)
	writeFile(t, path, ofTenant("three"))
	becomes("a new file", ofTenant("three"), 200)
	must(t, os.Rename(folder, folder+".away"))
	g.accepts(t, a, toTenant("acme", ofTenant("three")))
	g.refused(t, a, toTenant("globex", ofTenant("three")), 503, "overloaded")
}

// TestStrangersAtATenant: strangers who know a name, announce much and send nothing keep no
// delivery of that tenant out.
func TestStrangersAtATenant(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g, folder := platform(t, a)
	writeFile(t, filepath.Join(folder, "acme"), ofTenant("acme"))
	g.start(t)
	for range 300 {
		c, err := net.Dial("tcp", g.addr)
		must(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST /hooks/acme HTTP/1.1\r\nHost: %s\r\nX-Hub-Signature: sha256=%064d\r\nContent-Length: %d\r\n\r\nx", g.addr, 0, 25<<20)
		must(t, err)
	}
	time.Sleep(200 * time.Millisecond)
	g.accepts(t, a, toTenant("acme", ofTenant("acme")))
}

// tricks are targets that are one tenant's to the gate and another one's to some app, or that
// look for a file elsewhere.
var tricks = []string{
	"/hooks/acme/../globex", "/hooks/acme/./../globex", "/hooks/acme/..", "/hooks/acme/%2e%2e/globex", "/hooks/acme/%2E%2e/globex", "/hooks/acme/.%2e/globex",
	"/hooks/acme%2F..%2Fglobex", "/hooks/acme%2fglobex", "/hooks/acme/..%2fglobex", "/hooks/acme/..\\globex", "/hooks/acme\\..\\globex", "/hooks/acme/%5c..%5cglobex",
	"/hooks/acme;x/", "/hooks/acme%3bx", "/hooks/acme;/../globex", "/hooks//acme", "/hooks/acme//globex", "//hooks/acme", "/hooks/acme//", "/hooks/acme/%252e%252e/globex",
	"/hooks/acme%00", "/hooks/acme%00/globex", "/hooks/acme.", "/hooks/.acme", "/hooks/acme%20", "/hooks/ACME", "/hooks/acme%0a", "/hooks/%61cme%2f", "/hooks/acm%C3%A9",
	"/hooks/../tenants/acme", "/hooks/..data", "/hooks/%2e%2e", "/hooks/outside", "/hooks/link", "/hooks/absolute", "/hooks/" + strings.Repeat("a", 65), "/hooks/" + strings.Repeat("a", 6000),
	"/hooks/", "/hooks/folder", "/hooks/folder/acme", "/x/../hooks/acme", "/hooks/./acme", "http://gateway//hooks/acme", "http://gateway/hooks/acme/../globex",
}

// TestTenantTricks: none of them reaches the app, whichever secret signs it.
func TestTenantTricks(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g, folder := platform(t, a)
	for _, name := range []string{"acme", "globex", "../outside"} {
		writeFile(t, filepath.Join(folder, name), ofTenant("acme"))
	}
	must(t, os.Mkdir(filepath.Join(folder, "folder"), 0o700), os.Symlink("../outside", filepath.Join(folder, "link")), os.Symlink(filepath.Join(g.dir, "outside"), filepath.Join(folder, "absolute")))
	writeFile(t, filepath.Join(folder, "folder", "acme"), ofTenant("acme"))
	g.start(t)
	for _, target := range tricks {
		d := post(chatBotKit, signedWith(ofTenant("acme"), []byte(chatBotKit))).with(http.MethodPost, target)
		if resp := g.deliver(t, d); resp.status < 400 || resp.status >= 500 {
			t.Errorf("%s: status %d", target, resp.status)
		}
		a.nothing(t, d.id)
	}
	g.accepts(t, a, toTenant("acme", ofTenant("acme")))
	g.accepts(t, a, toTenant("acme/", ofTenant("acme")))
	g.accepts(t, a, toTenant("acme/events?x=../globex", ofTenant("acme")))
}

// TestTenantTricksOfProtocols: no protocol has a form of the path that gets through.
func TestTenantTricksOfProtocols(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, p := range protocols {
		g, folder := platform(t, a)
		roots := newCertificate(t, g.dir)
		if p.scheme == "https" {
			config, err := os.ReadFile(g.file)
			must(t, err)
			writeFile(t, g.file, secured(string(config)))
		}
		writeFile(t, filepath.Join(folder, "acme"), ofTenant("acme"))
		g.start(t)
		l := &link{g, a, p.scheme + "://" + g.addr, p.proto, p.client(t, roots)}
		for _, target := range append(tricks, "/hooks/acme") {
			if _, err := url.Parse(l.base + target); err != nil || !strings.HasPrefix(target, "/") {
				continue
			}
			d := toTenant("acme", ofTenant("acme")).with(http.MethodPost, target)
			want := http.StatusUnauthorized
			if target == "/hooks/acme" {
				want = http.StatusOK
				a.expect(d.id)
			}
			if got := l.exchange(t, d.request(t, l.base)).status; got != want && got != http.StatusNotFound {
				t.Errorf("%s: %s: status %d, want %d", p.name, target, got, want)
			}
		}
	}
}

// TestManyTenants: ten thousand tenants cost nothing at load, and bounded memory in use,
// while their files are written and strangers make up names.
func TestManyTenants(t *testing.T) {
	t.Parallel()
	const tenants = 10_000
	a := startApp(t)
	g, folder := platform(t, a)
	name := func(n int) string { return fmt.Sprintf("tenant-%d", n) }
	for n := range tenants {
		writeFile(t, filepath.Join(folder, name(n)), ofTenant(name(n)))
	}
	began := time.Now()
	g.start(t)
	t.Logf("started within %v", time.Since(began).Round(time.Millisecond))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 4000 {
				n := rand.IntN(tenants)
				if rand.IntN(10) == 0 {
					writeFile(t, filepath.Join(folder, name(n)+".new"), ofTenant(name(n)))
					must(t, os.Rename(filepath.Join(folder, name(n)+".new"), filepath.Join(folder, name(n))))
				}
				d := toTenant(name(n), ofTenant(name(n)))
				a.expect(d.id)
				if got := g.statusOf(t, d); got != 200 {
					t.Errorf("%s: status %d", name(n), got)
				}
				if got := g.statusOf(t, toTenant(fmt.Sprintf("made-up-%x", rand.Uint64()), testSecret)); got != 401 {
					t.Errorf("a name that was made up: status %d", got)
				}
			}
		})
	}
	all.Wait()
	in := g.census(t)
	if t.Logf("in use: %+v", in); in.Heap > 256<<10 {
		t.Errorf("%d KiB of heap", in.Heap)
	}
}

// TestTenantCommands: the commands find the tenant in the URL, or are told.
func TestTenantCommands(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g, folder := platform(t, a)
	writeFile(t, filepath.Join(folder, "acme"), ofTenant("acme"))
	writeFile(t, filepath.Join(folder, "globex"), ofTenant("globex"))
	g.start(t)
	config := "--config=" + g.file
	wants := func(ok bool, want string, args ...string) string {
		t.Helper()
		output, got := g.caddy(t, append([]string{"webhook"}, args...)...)
		if got != ok || !strings.Contains(output, want) {
			t.Errorf("%q: %v, %s", args, got, output)
		}
		return output
	}
	url := "http://" + g.addr + "/hooks/acme"
	for _, flag := range []string{"--tenant=acme", "--tenant="} {
		id := fresh()
		a.expect(id)
		wants(true, "kept", "send", config, flag, "-H", idField+": "+id, url)
	}
	wants(false, "--tenant: the address is one of the tenant acme", "send", config, "--tenant=globex", url)
	wants(false, "there is no tenant of that name", "send", config, "http://"+g.addr+"/hooks/nobody")
	wants(false, "has tenants; add --tenant", "sign", config, "--data=x")
	fields := wants(true, signedWith(ofTenant("acme"), []byte("x"))[len("X-Hub-Signature: "):], "sign", config, "--tenant=acme", "--data=x")
	writeFile(t, filepath.Join(g.dir, "headers"), fields)
	wants(true, "authentic", "verify", config, "--tenant=acme", "--headers="+filepath.Join(g.dir, "headers"), "--data=x")
	wants(false, "signature_mismatch", "verify", config, "--tenant=globex", "--headers="+filepath.Join(g.dir, "headers"), "--data=x")
	wants(true, "no findings", "check", config)
	writeFile(t, filepath.Join(folder, "initech"), ofTenant("acme"))
	writeFile(t, filepath.Join(folder, "broken"), "changeme")
	must(t, os.Chmod(filepath.Join(folder, "acme"), 0o644))
	output := wants(false, "tenants_share: gate hub, tenant acme and initech: ", "check", config)
	if !strings.Contains(output, "tenant_unusable: gate hub, tenant broken: ") {
		t.Errorf("check: %s", output)
	}
	wants(true, "-", "status", g.socket())
}

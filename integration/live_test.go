package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// noticed is how soon a change of a file is in force.
const noticed = 5 * time.Second

// renames writes a file as docs/secrets.md says: beside the old one, and then into its place.
func renames(t *testing.T, path, text string) {
	t.Helper()
	writeFile(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// secretNumber is a secret that no other test has.
func secretNumber(gate, n int) string {
	return fmt.Sprintf("wk-%03d-%04d-%s", gate, n, testSecret[4:40])
}

// TestSecretsChangeUnderLoad: 1,000 changes of secrets, while deliveries are signed with the
// secret that is valid before and after. None of them is refused, and a secret that was
// removed is refused as soon as the one that came with its removal is accepted.
func TestSecretsChangeUnderLoad(t *testing.T) {
	t.Parallel()
	const gates, swaps = 125, 8
	a := startApp(t)
	g := newGateway(t)
	var config strings.Builder
	config.WriteString("{\n\twebhook_auth {\n\t\twatch_secrets 1s\n\t}\n}\n:{$PORT} {\n")
	for n := range gates {
		file := filepath.Join(g.dir, fmt.Sprint("secret", n))
		writeFile(t, file+"a", secretNumber(n, 1))
		writeFile(t, file+"b", secretNumber(n, 0))
		fmt.Fprintf(&config, "\thandle /%d {\n\t\twebhook_auth {\n\t\t\tname g%d\n\t\t\tsecret new {file.%sa}\n\t\t\tsecret old {file.%[3]sb}\n\t\t}\n\t\treverse_proxy %s\n\t}\n", n, n, file, a.addr)
	}
	config.WriteString("\trespond 404\n}\n")
	g.write(t, config.String())
	g.start(t)

	var all sync.WaitGroup
	var slowest sync.Map
	for n := range gates {
		all.Go(func() {
			for swap := 1; swap <= swaps && !t.Failed(); swap++ {
				slowest.Store(fmt.Sprint(n, swap), g.rotate(t, a, n, swap))
			}
		})
	}
	all.Wait()
	var worst time.Duration
	slowest.Range(func(_, took any) bool { worst = max(worst, took.(time.Duration)); return true })
	t.Logf("%d changes, the slowest was in force after %v", gates*swaps, worst.Round(time.Millisecond))
}

// rotate replaces the secrets swap and swap-1 of a gate by swap+1 and swap, and returns how
// long it took to be in force.
func (g *gateway) rotate(t *testing.T, a *app, gate, swap int) time.Duration {
	status := func(n int) int {
		d := post(chatBotKit, signedWith(secretNumber(gate, n), []byte(chatBotKit))).with(http.MethodPost, fmt.Sprint("/", gate))
		a.expect(d.id)
		return g.statusOf(t, d)
	}
	file := filepath.Join(g.dir, fmt.Sprint("secret", gate))
	renames(t, file+"a", secretNumber(gate, swap+1))
	renames(t, file+"b", secretNumber(gate, swap))
	began := time.Now()
	for status(swap+1) != http.StatusOK {
		if got := status(swap); got != http.StatusOK {
			t.Errorf("gate %d, change %d: the secret that stays: status %d", gate, swap, got)
			break
		}
		if time.Since(began) > patience {
			t.Errorf("gate %d, change %d: the new secret is not accepted", gate, swap)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(began)
	if got := status(swap); got != http.StatusOK {
		t.Errorf("gate %d, change %d: the secret that stays, afterwards: status %d", gate, swap, got)
	}
	if got := status(swap - 1); got != http.StatusUnauthorized {
		t.Errorf("gate %d, change %d: the secret that was removed: status %d", gate, swap, got)
	}
	return took
}

// spoils are what cannot be used in the place of a secret.
var spoils = map[string]func(t *testing.T, path string){
	"empty":     func(t *testing.T, path string) { writeFile(t, path, "") },
	"guessable": func(t *testing.T, path string) { writeFile(t, path, "changeme") },
	"removed":   func(t *testing.T, path string) { must(t, os.Remove(path)) },
	"folder":    func(t *testing.T, path string) { must(t, os.Remove(path), os.Mkdir(path, 0o700)) },
	"long":      func(t *testing.T, path string) { writeFile(t, path, strings.Repeat("x", 65<<10)) },
	"shown":     func(t *testing.T, path string) { writeFile(t, path, otherSecret) }, // the token of another gate
}

// TestFilesThatCannotBeUsed: what does not load changes nothing. The log says so once, the
// metrics and the status show it, and what follows is taken.
func TestFilesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	a, g := startApp(t), newGateway(t)
	file := func(name string) string { return filepath.Join(g.dir, name) }
	writeFile(t, file("token"), otherSecret)
	config := ":{$PORT} {\n\thandle /token {\n\t\twebhook_auth {\n\t\t\tname tokens\n\t\t\theader X-Token\n\t\t\ttoken {file." + file("token") + "}\n\t\t}\n\t\treverse_proxy " + a.addr + "\n\t}\n"
	old := func(name string) string { return "old-" + name + "-" + testSecret }
	for name := range spoils {
		writeFile(t, file(name), old(name))
		config += "\thandle /" + name + " {\n\t\twebhook_auth {\n\t\t\tname " + name + "\n\t\t\tsecret {file." + file(name) + "}\n\t\t}\n\t\treverse_proxy " + a.addr + "\n\t}\n"
	}
	g.write(t, config+"\trespond 404\n}\n")
	g.start(t)
	to := func(name, secret string) delivery {
		return post(chatBotKit, signedWith(secret, []byte(chatBotKit))).with(http.MethodPost, "/"+name)
	}
	for name, spoil := range spoils {
		spoil(t, file(name))
	}
	const text = "secrets changed and cannot be used; the old ones are still in force"
	g.log.waitFor(t, len(spoils), "the mistakes", message(text))
	time.Sleep(noticed) // they are tried again
	lines, _ := g.log.find(message(text))
	for _, line := range lines {
		if line.text("level") != "error" || spoils[line.text("name")] == nil || strings.Contains(fmt.Sprint(line), otherSecret[:12]) {
			t.Errorf("%v", line)
		}
	}
	if len(lines) != len(spoils) {
		t.Errorf("%d lines, want one for each gate: %v", len(lines), lines)
	}
	m := g.metrics(t)
	output, _ := g.caddy(t, "webhook", "status", g.socket())
	for name := range spoils {
		g.accepts(t, a, to(name, old(name)))
		if m[`secrets_failures_total{name="`+name+`"}`] != 1 || m[`secrets_checked_timestamp_seconds{name="`+name+`"}`] >= m[`secrets_checked_timestamp_seconds{name="tokens"}`] {
			t.Errorf("metrics of %s: %v", name, m)
		}
		if !strings.Contains(output, name+": "+text) {
			t.Errorf("%s: the status does not say it: %s", name, output)
		}
		must(t, os.RemoveAll(file(name)))
		renames(t, file(name), "new-"+name+"-"+testSecret)
	}
	g.log.waitFor(t, len(spoils), "the new secrets", message("secrets changed"))
	for name := range spoils {
		g.accepts(t, a, to(name, "new-"+name+"-"+testSecret))
		g.refused(t, a, to(name, old(name)), http.StatusUnauthorized, "signature_mismatch")
	}
}

// TestHalfWrittenSecret: a secret that is written in place, in two parts, is never taken for
// its first part.
func TestHalfWrittenSecret(t *testing.T) {
	t.Parallel()
	a, g := startApp(t), newGateway(t)
	path := filepath.Join(g.dir, "secret")
	writeFile(t, path, otherSecret)
	g.write(t, strings.Replace(canonical(a), "{env.WEBHOOK_SECRET}", "{file."+path+"}", 1))
	g.start(t)
	for range 3 {
		file, err := os.Create(path)
		must(t, err)
		half := len(testSecret) / 2
		for _, part := range []string{testSecret[:half], testSecret[half:]} {
			_, err := file.WriteString(part)
			must(t, err)
			time.Sleep(time.Second) // half of what a file must stay the same for
			if got := g.deliver(t, post(chatBotKit, signedWith(testSecret[:half], []byte(chatBotKit)))).status; got != http.StatusUnauthorized {
				t.Fatalf("signed with one half: %d", got)
			}
		}
		must(t, file.Close())
		await(t, "the whole secret", func() (any, bool) {
			d := authentic(chatBotKit)
			a.expect(d.id)
			got := g.deliver(t, d).status
			return got, got == http.StatusOK
		})
	}
}

// TestKubeletSecret: Kubernetes changes all keys of a mounted secret at once, by one symbolic
// link. A token, a verify token and a public key are followed like a secret.
func TestKubeletSecret(t *testing.T) {
	t.Parallel()
	a, g := startApp(t), newGateway(t)
	volume := filepath.Join(g.dir, "volume")
	kubelet := func(version, secret, token, verify string) {
		folder := filepath.Join(volume, ".."+version)
		must(t, os.MkdirAll(folder, 0o700))
		writeFile(t, filepath.Join(folder, "secret"), secret)
		writeFile(t, filepath.Join(folder, "token"), token)
		writeFile(t, filepath.Join(folder, "verify"), verify)
		must(t, os.Symlink(".."+version, filepath.Join(volume, "..data_tmp")))
		must(t, os.Rename(filepath.Join(volume, "..data_tmp"), filepath.Join(volume, "..data")))
	}
	const newToken, newVerify = "tk-8c1f0e2d3b4a59687766554433221100ffee", "vt-1a2b3c4d5e6f708192a3b4c5d6e7f809"
	kubelet("1", otherSecret, "tk-0f1e2d3c4b5a69788796a5b4c3d2e1f00123", "vt-f0e1d2c3b4a5968778695a4b3c2d1e0f")
	for _, key := range []string{"secret", "token", "verify"} {
		must(t, os.Symlink(filepath.Join("..data", key), filepath.Join(volume, key)))
	}
	file := func(key string) string { return "{file." + filepath.Join(volume, key) + "}" }
	g.write(t, ":{$PORT} {\n\thandle /webhook {\n\t\twebhook_auth {\n\t\t\tsecret "+file("secret")+"\n\t\t\tchallenge hub "+file("verify")+"\n\t\t}\n\t\treverse_proxy "+a.addr+
		"\n\t}\n\thandle /token {\n\t\twebhook_auth {\n\t\t\tname tokens\n\t\t\theader X-Token\n\t\t\ttoken "+file("token")+"\n\t\t}\n\t\treverse_proxy "+a.addr+"\n\t}\n\trespond 404\n}\n")
	g.start(t)
	kubelet("2", testSecret, newToken, newVerify)
	g.log.waitFor(t, 2, "both gates", message("secrets changed"))
	g.accepts(t, a, authentic(chatBotKit))
	g.accepts(t, a, post(chatBotKit, "X-Token: "+newToken).with(http.MethodPost, "/token"))
	if resp := g.deliver(t, delivery{method: http.MethodGet, target: "/webhook?hub.mode=subscribe&hub.challenge=1234&hub.verify_token=" + newVerify}); resp.body != "1234" {
		t.Errorf("the check is answered %d %q", resp.status, resp.body)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Package browser tests the page of `caddy webhook inspect` in a real browser. It is a
// module of its own, so that the gate does not depend on what drives one.
package browser

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/input"
	"github.com/go-rod/rod/lib/launcher"
	"github.com/go-rod/rod/lib/proto"
)

const (
	secret   = "Zk3pX9vQ2rT7uW1yB5nM8cD4eF6gH0jL"
	patience = time.Minute
)

// A gateway is the real binary with a gate and a page.
type gateway struct {
	url, page string
	dir       string
	caddy     string
}

// binary builds what is tested, once.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		build := exec.Command(filepath.Join("..", "..", "xcaddy.sh"))
		build.Env = append(os.Environ(), "OUTPUT="+filepath.Join(folder, "caddy"))
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
	})
	return filepath.Join(folder, "caddy")
}

var (
	built  sync.Once
	folder string // of the binary
)

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "browser"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// start runs the binary, and the page beside it, until the test ends.
func start(t *testing.T) *gateway {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser") // not t.TempDir: the socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	g := &gateway{dir: dir, caddy: binary(t)}
	address := freeAddress(t)
	g.url = "http://" + address + "/webhook"
	config := fmt.Sprintf(`{
	admin unix/%s/admin.sock
	persist_config off
	auto_https off
}
http://%s {
	webhook_auth {
		secret {env.WEBHOOK_SECRET}
		name billing
	}
	respond "taken"
}
`, dir, address)
	if err := os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(t, "run")
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if g.post("", "") != 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the gateway does not start")
		}
	}
	g.page = g.run(t, "webhook", "inspect")
	return g
}

// run starts a command of the binary, and returns its first line if it prints one.
func (g *gateway) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(g.caddy, args...)
	cmd.Dir, cmd.Env = g.dir, append(os.Environ(), "WEBHOOK_SECRET="+secret, "HOME="+g.dir)
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if args[0] == "run" {
		return ""
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// post delivers a body, signed if there is one, and returns the status, or 0.
func (g *gateway) post(body, agent string, path ...string) int {
	req, err := http.NewRequest(http.MethodPost, g.url+strings.Join(path, ""), strings.NewReader(body))
	if err != nil {
		return 0
	}
	if body != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
	}
	req.Header.Set("User-Agent", agent)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// open starts a browser of that width, which fails the test if anything is refused by the
// page's policy, is asked for from another host, or fails.
func open(t *testing.T, width int, dark bool, url string) *rod.Page {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no chromium")
		}
		t.Skip("there is no chromium")
	}
	control, err := launcher.New().Bin(chromium).Leakless(false).NoSandbox(true).
		Set("disable-gpu").Set("disable-quic").Set("disable-component-update").Launch()
	if err != nil {
		t.Fatal(err)
	}
	browser := rod.New().ControlURL(control).Context(t.Context())
	if err := browser.Connect(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = browser.Context(context.Background()).Close() })
	page := browser.MustPage().Timeout(patience)
	watch(t, page, url)
	page.MustSetViewport(width, 900, 1, false)
	scheme := map[bool]string{false: "light", true: "dark"}[dark]
	if err := (proto.EmulationSetEmulatedMedia{Features: []*proto.EmulationMediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}).Call(page); err != nil {
		t.Fatal(err)
	}
	page.MustNavigate(url)
	return page
}

// watch fails the test for what the page may not do.
func watch(t *testing.T, page *rod.Page, url string) {
	t.Helper()
	_ = proto.LogEnable{}.Call(page)
	_ = proto.NetworkEnable{}.Call(page)
	go page.EachEvent(func(e *proto.NetworkRequestWillBeSent) {
		if !strings.HasPrefix(e.Request.URL, url) && !strings.HasSuffix(e.Request.URL, "/favicon.ico") {
			t.Errorf("the page asks for %s", e.Request.URL)
		}
	}, func(e *proto.LogEntryAdded) {
		if !strings.HasSuffix(e.Entry.URL, "/favicon.ico") {
			t.Errorf("the browser says: %s %s", e.Entry.Text, e.Entry.URL)
		}
	}, func(e *proto.RuntimeExceptionThrown) {
		t.Errorf("the page fails: %s", e.ExceptionDetails.Exception.Description)
	})()
}

// shows waits until an expression of the page is true.
func shows(t *testing.T, page *rod.Page, expression string) {
	t.Helper()
	for deadline := time.Now().Add(patience / 2); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if page.MustEval("() => Boolean(" + expression + ")").Bool() {
			return
		}
	}
	t.Fatalf("the page never shows %s; it says:\n%s", expression, page.MustEval("() => document.body.innerText").Str())
}

// hostile is what a client may send to be shown to the operator.
var hostile = []string{
	`<img src=x onerror="document.title='owned'">`, `<script>document.title='owned'</script>`, `"><svg onload=alert(1)>`, `${document.title='owned'}`,
	"javascript:alert(1)", "caf\u00e9 \u202etxt.exe\u200b", strings.Repeat("W", 400),
}

// TestPage: rows appear live, a click shows the cure, what a client sent stays text.
func TestPage(t *testing.T) {
	g := start(t)
	page := open(t, 1400, false, g.page)
	shows(t, page, `document.querySelector("#gates strong")?.textContent === "billing"`)
	if status := g.post("hello", "sender/1.0"); status != http.StatusOK {
		t.Fatalf("an authentic delivery got %d", status)
	}
	shows(t, page, `document.querySelector("#deliveries .good")?.textContent === "accepted"`)
	shows(t, page, `document.querySelector("#gates").innerText.includes("accepted 1, ")`)
	for _, text := range hostile {
		g.post("", text, "/"+strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "%20", "{", "%7B", "}", "%7D").Replace(text))
	}
	shows(t, page, fmt.Sprintf(`document.querySelectorAll("#deliveries li").length >= %d`, len(hostile)+1))
	if page.MustEval(`() => document.title === "owned" || document.querySelector("#deliveries img, #deliveries script, #deliveries svg") !== null`).Bool() {
		t.Error("what a client sent became a part of the page")
	}
	page.MustElement("#deliveries button").MustClick()
	shows(t, page, `document.querySelector("#deliveries dl").innerText.includes("missing_signature")`)
	shows(t, page, `[...document.querySelectorAll("#deliveries .path")].some((path) => path.textContent.includes("caf\u00e9 \\u{202e}txt.exe\\u{200b}"))`)

	// The filter.
	page.MustElement("#verdict").MustSelect("accepted")
	shows(t, page, `[...document.querySelectorAll("#deliveries li")].filter((row) => !row.hidden).length === 1`)
	reload := exec.Command(g.caddy, "reload", "--force")
	reload.Dir, reload.Env = g.dir, append(os.Environ(), "WEBHOOK_SECRET="+secret, "HOME="+g.dir)
	if output, err := reload.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, output)
	}
	g.post("after the reload", "sender/1.0")
	shows(t, page, `[...document.querySelectorAll("#deliveries li")].filter((row) => !row.hidden).length === 2`)
}

// TestPageInAHiddenTab: a browser draws no frame of a hidden tab. Whatever comes meanwhile is
// there when it is seen again, as far as the page shows it at all.
func TestPageInAHiddenTab(t *testing.T) {
	g := start(t)
	page := open(t, 1400, false, g.page)
	shows(t, page, `document.querySelector("#gates strong")?.textContent === "billing"`)
	page.MustElement("#gate").MustSelect("billing")
	g.post("", "sender/1.0", "/here")
	shows(t, page, `document.querySelector("#deliveries .path")?.textContent.endsWith("/here")`) // nothing more is to be drawn
	page.MustEval(`() => {
		window.frames_ = [];
		window.requestAnimationFrame = (frame) => window.frames_.push(frame);
		const gate = (kind) => ({ name: "other", kind, mode: "enforce", deliveries: {}, app: {}, keys: [] });
		receive({ gates: [gate("secret"), gate("token")] });
		receive({ state: "connected again" });
		receive({ dropped: 3 });
		receive({ lost: true });
		for (let i = 0; i < 6000; i++) receive({ id: "x" + i, gate: "other", time: new Date(), result: "accepted", app: "2xx", method: "POST", host: "h", path: "/" + i, size: 1, live: true });
		receive({ id: "x5999", gate: "other", time: new Date(), result: "accepted", app: "2xx", method: "POST", host: "h", path: "/5999", size: 1, diagnosis: "found later", live: true, update: true });
	}`)
	if n := page.MustEval(`() => window.frames_.length`).Int(); n != 1 {
		t.Errorf("%d frames are asked for", n)
	}
	page.MustEval(`() => window.frames_[0]()`)
	for _, expression := range []string{
		`document.querySelectorAll("#gates li").length === 2`,
		`[...document.querySelectorAll("#gates li")].every((gate) => gate.innerText.includes("accepted 6000, ") && gate.innerText.includes("all 2 gates of this name"))`,
		`$("state").textContent.startsWith("connected again; 3 not shown") && $("state").textContent.includes("some may be missing")`,
		`document.querySelectorAll("#deliveries li").length === 1000`,
		`document.querySelector("#deliveries li").innerText.includes("found later")`,
		`$("gate").value === "" && [...document.querySelectorAll("#deliveries li")].every((row) => !row.hidden)`,
	} {
		shows(t, page, expression)
	}
}

// TestPageFits: at both widths, in light and dark, nothing needs a sideways scroll, and
// text stands out from its ground.
func TestPageFits(t *testing.T) {
	g := start(t)
	g.post("hello", "sender/1.0")
	g.post("", strings.Repeat("W", 400), "/"+strings.Repeat("w", 300))
	for _, width := range []int{360, 1400} {
		for _, dark := range []bool{false, true} {
			page := open(t, width, dark, g.page)
			shows(t, page, `document.querySelectorAll("#deliveries li").length >= 2`)
			page.MustElement("#deliveries button").MustClick()
			scrolls := page.MustEval(`() => document.documentElement.scrollWidth - document.documentElement.clientWidth`).Int()
			ground := page.MustEval(`() => getComputedStyle(document.body).backgroundColor`).Str()
			text := page.MustEval(`() => getComputedStyle(document.body).color`).Str()
			shot := page.MustScreenshotFullPage()
			if scrolls > 0 {
				t.Errorf("at %d px it is %d px too wide", width, scrolls)
			}
			if want := map[bool]string{false: "rgb(255, 255, 255)", true: "rgb(20, 23, 26)"}[dark]; ground != want || ground == text {
				t.Errorf("dark %v: %s on %s", dark, text, ground)
			}
			if folder := os.Getenv("SCREENSHOTS"); folder != "" {
				name := filepath.Join(folder, fmt.Sprintf("inspect-%d-%v.png", width, dark))
				if err := os.WriteFile(name, shot, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestPageByKeyboard: Tab and Enter reach everything.
func TestPageByKeyboard(t *testing.T) {
	g := start(t)
	g.post("", "sender/1.0")
	g.post("hello", "sender/1.0")
	page := open(t, 1400, false, g.page)
	shows(t, page, `document.querySelectorAll("#deliveries li").length >= 2`)
	reached := make(map[string]bool)
	for range 8 {
		page.Keyboard.MustType(input.Tab)
		name := page.MustEval(`() => document.activeElement.id || document.activeElement.tagName`).Str()
		reached[name] = true
		if name == "BUTTON" {
			break
		}
	}
	for _, name := range []string{"gate", "verdict", "text", "BUTTON"} {
		if !reached[name] {
			t.Errorf("Tab does not reach %s: %v", name, reached)
		}
	}
	page.Keyboard.MustType(input.Enter)
	shows(t, page, `document.querySelector("#deliveries dl") && document.activeElement.getAttribute("aria-expanded") === "true"`)
	page.Keyboard.MustType(input.Enter)
	shows(t, page, `!document.querySelector("#deliveries dl")`)
}

// TestPageIsForOne: without the token, with another host, or with another method there is
// no page.
func TestPageIsForOne(t *testing.T) {
	g := start(t)
	address := strings.Split(g.page, "/")[2]
	for _, c := range []struct {
		method, url, host string
		want              int
	}{
		{"GET", g.page, "", 200},
		{"GET", g.page + "page.js", "", 200},
		{"GET", "http://" + address + "/", "", 403},
		{"GET", "http://" + address + "/guess/", "", 403},
		{"GET", "http://" + address + "/guess/events", "", 403},
		{"GET", g.page, "evil.example", 403},
		{"GET", g.page, "localhost:" + strings.Split(address, ":")[1], 403},
		{"POST", g.page, "", 405},
		{"GET", g.page + "nothing", "", 404},
	} {
		req, err := http.NewRequest(c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want || !strings.Contains(resp.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s %s as %q: %d, want %d", c.method, c.url, c.host, resp.StatusCode, c.want)
		}
	}
}

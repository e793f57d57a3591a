package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// A seen is a delivery as the admin API shows it.
type seen struct {
	ID, Gate, Result, Reason, Method, Host, Path, Diagnosis, Hint, Key, App, Tenant string

	UserAgent string `json:"user_agent"`
	Status    int
	Size      int64
	Hello     map[string]any
	Dropped   int64
	Hidden    []string
}

// history asks the admin API for deliveries.
func (g *gateway) history(t *testing.T, query string) (all []seen) {
	t.Helper()
	if err := json.Unmarshal([]byte(g.admin(t, "/webhook_auth/deliveries"+query)), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// socket is the gateway's admin API as a flag.
func (g *gateway) socket() string { return "--address=unix/" + filepath.Join(g.dir, "admin.sock") }

// TestHistory: what came and what became of it can be seen, and nothing that is secret.
func TestHistory(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "name billing"))
	g.accepts(t, a, authentic(chatBotKit, "User-Agent: sender/1.0").with(http.MethodPost, "/webhook?token=in-the-query"))
	wrong := g.refused(t, a, post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))), 401, "signature_mismatch")
	g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	g.log.wait(t, "the diagnosis", message("delivery diagnosed"))

	all := g.history(t, "")
	if len(all) != 3 {
		t.Fatalf("%d deliveries are remembered, want 3: %+v", len(all), all)
	}
	accepted, mismatch, unsigned := all[0], all[1], all[2]
	if accepted.Result != "accepted" || accepted.App != "2xx" || accepted.Key != "1" || accepted.Path != "/webhook" ||
		accepted.UserAgent != "sender/1.0" || accepted.Size != int64(len(chatBotKit)) || accepted.Gate != "billing" {
		t.Errorf("accepted: %+v", accepted)
	}
	if mismatch.Reason != "signature_mismatch" || mismatch.Status != 401 || mismatch.ID != wrong.header.Get(errorID) || mismatch.Diagnosis == "" || mismatch.Hint == "" {
		t.Errorf("mismatch: %+v", mismatch)
	}
	if unsigned.Reason != "missing_signature" || unsigned.Result != "refused" {
		t.Errorf("unsigned: %+v", unsigned)
	}
	raw := g.admin(t, "/webhook_auth/deliveries") + g.admin(t, "/webhook_auth/gates")
	for _, hidden := range []string{testSecret, otherSecret, "in-the-query", hmacHex("sha256", testSecret, []byte(chatBotKit)), "conversation.create"} {
		if strings.Contains(raw, hidden) {
			t.Errorf("%q is shown", hidden)
		}
	}
	for query, want := range map[string]int{
		"?verdict=refused": 2, "?verdict=accepted": 1, "?gate=billing": 3, "?gate=other": 0, "?limit=1": 1, "?since=" + mismatch.ID: 1, "?since=gone": 3,
	} {
		if got := len(g.history(t, query)); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
}

// TestGateStates: the admin API says what each gate is and did, also after a configuration
// that did not load.
func TestGateStates(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "name billing", "secret old {env.OLD_SECRET}"), "OLD_SECRET="+otherSecret)
	g.accepts(t, a, authentic(chatBotKit))
	g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	good := string(readFile(t, g.file))
	writeFile(t, g.file, strings.Replace(good, "{env.OLD_SECRET}", "changeme", 1))
	if output, ok := g.reload(t); ok {
		t.Fatalf("a sample as the secret loads: %s", output)
	}
	g.accepts(t, a, authentic(chatBotKit))
	var gates []struct {
		Name, Kind, Mode string
		URLs             []string
		Keys             []struct {
			Name     string
			Uses     int
			LastUsed *time.Time `json:"last_used"`
		}
		Deliveries, Reasons, App map[string]int
		LastAccepted             *time.Time `json:"last_accepted"`
	}
	if err := json.Unmarshal([]byte(g.admin(t, "/webhook_auth/gates")), &gates); err != nil || len(gates) != 1 {
		t.Fatalf("%v, %d gates", err, len(gates))
	}
	gate := gates[0]
	if gate.Name != "billing" || gate.Kind != "secret" || gate.Mode != "enforce" || len(gate.URLs) != 1 || !strings.HasSuffix(gate.URLs[0], "/webhook") {
		t.Errorf("the gate is %+v", gate)
	}
	if gate.Deliveries["accepted"] != 2 || gate.Reasons["missing_signature"] != 1 || gate.App["2xx"] != 2 || gate.LastAccepted == nil {
		t.Errorf("it did %+v", gate)
	}
	if len(gate.Keys) != 2 || gate.Keys[0].Uses != 2 || gate.Keys[0].LastUsed == nil || gate.Keys[1].Uses != 0 || gate.Keys[1].LastUsed != nil {
		t.Errorf("its secrets are %+v", gate.Keys)
	}
}

// TestFollowAcrossReloads: under `tail -f`, no delivery is missed or shown twice, no reload
// waits for the stream, and none leaves an error in the log.
func TestFollowAcrossReloads(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "webhook", "tail", "-f", "--json", g.socket())
	cmd.Env, cmd.Dir, cmd.WaitDelay = g.environ, g.dir, patience
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan seen)
	go func() {
		defer close(lines)
		for text := bufio.NewScanner(out); text.Scan(); {
			var line seen
			_ = json.Unmarshal(text.Bytes(), &line)
			lines <- line
		}
	}()
	next := func() seen {
		select {
		case line := <-lines:
			return line
		case <-time.After(patience):
			t.Fatal("nothing more is shown")
			return seen{}
		}
	}
	want := []string{g.refused(t, a, post(chatBotKit), 401, "missing_signature").header.Get(errorID)}
	got := []string{next().ID} // from here on it follows
	goroutines := g.goMetric(t, "go_goroutines")
	// For a moment after a reload, the old listener may still accept a connection, which
	// ends without an answer: nothing has read the request.
	refused := func() (id string) {
		d := post(chatBotKit)
		await(t, "a refusal", func() (any, bool) {
			a := ask(g.addr, d.wire(), d.method)
			id = a.header.Get(errorID)
			return a.err, a.err == nil && a.status == http.StatusUnauthorized
		})
		return id
	}
	for range 20 {
		want = append(want, refused())
		began := time.Now()
		g.load(t)
		if took := time.Since(began); took > 8*time.Second { // Caddy waits ten for a stream that does not end
			t.Errorf("a reload took %v", took)
		}
		want = append(want, refused())
	}
	for len(got) < len(want) {
		got = append(got, next().ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("shown %v, want %v", got, want)
	}
	await(t, "the end of what the old streams had", func() (any, bool) {
		now := g.goMetric(t, "go_goroutines")
		return now, now <= goroutines+5 // connections come and go
	})
	if errors, _ := g.log.find(func(e entry) bool { return e.text("level") == "error" }); len(errors) > 0 {
		t.Errorf("the log has errors: %v", errors)
	}
	cancel()
	_ = cmd.Wait() // it was killed
	g.atRest(t)
}

// TestHistoryUnderFlood: what a scanner sends does not push out what an operator looks for.
func TestHistoryUnderFlood(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, "{\n\twebhook_auth {\n\t\thistory 40\n\t}\n}\n"+canonical(a))
	g.accepts(t, a, authentic(chatBotKit))
	g.refused(t, a, post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))), 401, "signature_mismatch")
	c := g.dial(t)
	for range 200 {
		c.send(post("").wire())
		c.response(http.MethodPost)
	}
	all, kept := g.history(t, ""), make(map[string]int)
	for _, one := range all {
		kept[one.Result+one.Reason]++
	}
	if len(all) != 40 || kept["accepted"] != 1 || kept["refusedsignature_mismatch"] != 1 {
		t.Errorf("%d remembered: %v", len(all), kept)
	}
}

// TestHistoryOffShowsNothing: with history off, nothing is remembered.
func TestHistoryOffShowsNothing(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, "{\n\twebhook_auth {\n\t\thistory off\n\t}\n}\n"+canonical(a))
	g.accepts(t, a, authentic(chatBotKit))
	if all := g.history(t, ""); len(all) != 0 {
		t.Errorf("remembered: %v", all)
	}
}

// hostile are texts that a terminal or a page would obey.
var hostile = []string{
	"\x9b31mred", "caf\xc3\xa9 \xe2\x80\xaetxt.exe", "\xe2\x80\x8b\xe2\x80\x8bwidthless", "<img src=x onerror=alert(1)>", `"; DROP`, "wide \xe4\xb8\xad\xe6\x96\x87",
}

// TestCommandShowsHostileText: on a terminal and in a pipe, what a client sent is
// printable ASCII.
func TestCommandShowsHostileText(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	for _, text := range hostile {
		g.refused(t, a, post("", "User-Agent: "+text).with(http.MethodPost, "/webhook/../webhook"), 401, "missing_signature")
	}
	for _, one := range g.history(t, "") {
		for _, args := range [][]string{{"tail", "--json"}, {"tail"}, {"show", one.ID}} {
			output, ok := g.caddy(t, slices.Concat([]string{"webhook"}, args, []string{g.socket()})...)
			if !ok {
				t.Fatalf("%v: %s", args, output)
			}
			for _, r := range output {
				if r == '\x1b' || args[len(args)-1] != "--json" && r > '~' && r != 'µ' || r == 0x9b {
					t.Fatalf("%v prints %U: %q", args, r, output)
				}
			}
		}
	}
}

// TestAdminAnswersGetAlone: nothing below /webhook_auth changes anything.
func TestAdminAnswersGetAlone(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a))
	client := newClient(overSocket(filepath.Join(g.dir, "admin.sock")))
	for path, want := range map[string]int{
		"POST /webhook_auth/gates": 405, "DELETE /webhook_auth/deliveries": 405, "PUT /webhook_auth/deliveries/x": 405,
		"GET /webhook_auth/deliveries/nothing": 404, "GET /webhook_auth/deliveries?verdict=maybe": 400, "GET /webhook_auth/deliveries?limit=0": 400,
		"GET /webhook_auth/other": 404,
	} {
		method, target, _ := strings.Cut(path, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// TestFollowTellsWhatIsLost: a stream that goes on says so if the server does not remember
// what came meanwhile, and sends what was found out about what was shown. HEAD is answered
// at once.
func TestFollowTellsWhatIsLost(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, "{\n\twebhook_auth {\n\t\thistory 3\n\t}\n}\n"+canonical(a))
	first := g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch").header.Get(errorID)
	g.log.wait(t, "the diagnosis", message("delivery diagnosed"))
	if said := g.follow(t, "since="+first); !strings.Contains(said, `"update":true`) || !strings.Contains(said, `"diagnosis"`) || strings.Contains(said, "lost") {
		t.Errorf("of what was found out later it says %s", said)
	}
	for range 9 {
		g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	}
	if said := g.follow(t, "since="+first); strings.Count(said, `{"lost":true}`) != 1 {
		t.Errorf("of the gap it says %s", said)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, "http://127.0.0.1/webhook_auth/deliveries?follow", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newClient(overSocket(filepath.Join(g.dir, "admin.sock"))).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
}

// follow returns what a stream says until it is live.
func (g *gateway) follow(t *testing.T, query string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/webhook_auth/deliveries?follow&"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newClient(overSocket(filepath.Join(g.dir, "admin.sock"))).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said strings.Builder
	for lines := bufio.NewScanner(resp.Body); lines.Scan() && lines.Text() != `{"live":true}`; {
		said.WriteString(lines.Text() + "\n")
	}
	return said.String()
}

// TestObservedAnswers: of what unsafe_observe_only lets through, the history has the app's
// answer, also if the app breaks off, and the diagnosis with it.
func TestObservedAnswers(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, strings.Replace(canonical(a, "unsafe_observe_only"), "respond 404",
		"handle /gone {\n"+strings.Replace(gate(a, "unsafe_observe_only", "name gone"), a.addr, "127.0.0.1:1", 1)+"}\nrespond 404", 1))
	forged := post(chatBotKit, forgedField)
	answered(t, g.deliver(t, forged))
	delivered(t, a, forged)
	g.deliver(t, post(chatBotKit).with(http.MethodPost, "/gone"))
	g.log.wait(t, "the diagnosis", message("delivery diagnosed"))
	await(t, "both answers", func() (any, bool) {
		all := g.history(t, "?verdict=observed")
		return all, len(all) == 2 && all[0].App == "2xx" && all[0].Status == 200 && all[0].Diagnosis != "" && all[1].App == "5xx" && all[1].Status == 502
	})
}

// TestStatusCommand: a table of the gates, and what check finds.
func TestStatusCommand(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "name billing"))
	g.accepts(t, a, authentic(chatBotKit))
	output, ok := g.caddy(t, "webhook", "status", g.socket())
	if want := "billing\thub\tsecret\tenforce\t1\t0\t"; !ok || !strings.HasPrefix(output, want) {
		t.Errorf("printed %q, want it to begin with %q", output, want)
	}
	output, ok = g.caddy(t, "webhook", "status", "--config", g.file)
	if !ok || !strings.Contains(output, "billing") {
		t.Errorf("with the configuration's own address: %s", output)
	}
	g.kill(t)
	if output, ok = g.caddy(t, "webhook", "status", g.socket()); ok || !strings.Contains(output, "does the server run") {
		t.Errorf("without a server: %s", output)
	}
}

// TestCapture: the very bytes of a refused request can be judged again and shown, and
// nothing that would let someone send them.
func TestCapture(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "capture 2"), "OTHER="+otherSecret)
	wrong := signedWith(otherSecret, []byte(chatBotKit))
	first := g.refused(t, a, post(chatBotKit, wrong, "Authorization: Basic aHVudGVyMg==", "X-Gitlab-Token: a-token-of-theirs", "X-Session: theirs-too").with(http.MethodPost, "/webhook?access_token=in-the-query"), 401, "signature_mismatch").header.Get(errorID)
	unread := g.refused(t, a, post(chatBotKit, "X-Hub-Signature: sha256=zz"), 401, "malformed_signature").header.Get(errorID)
	for range 5 { // what scanners send pushes nothing out
		g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	}

	raw := g.admin(t, "/webhook_auth/deliveries/"+first+"/captured")
	for _, hidden := range []string{strings.TrimPrefix(wrong, "X-Hub-Signature: "), "aHVudGVyMg==", "a-token-of-theirs", "theirs-too", "in-the-query"} {
		if strings.Contains(raw, hidden) {
			t.Errorf("%q is shown: %s", hidden, raw)
		}
	}
	run := func(want int, contains string, args ...string) {
		t.Helper()
		cmd := command(t, binary, append([]string{"webhook"}, append(args, g.socket())...)...)
		cmd.Env, cmd.Dir = g.environ, g.dir
		output, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != want || !strings.Contains(string(output), contains) {
			t.Errorf("%v: exit code %d, %s; want %d and %q", args, code, output, want, contains)
		}
	}
	run(0, chatBotKit, "show", "--body", first)
	run(1, "the body was not kept", "show", "--body", unread)
	run(1, "refused: signature_mismatch", "verify", "--id", first)
	run(1, "no request of this id was captured", "verify", "--id", "nothing00")
	run(2, "drop it, or --headers and --data", "verify", "--id", first, "--data", "x")

	g.write(t, canonical(a, "capture 2", "secret {env.OTHER}"))
	g.load(t)
	run(0, "authentic: signed with the secret", "verify", "--id", first)
	if buffered := g.metrics(t)[`buffered_bytes{where="memory"}`]; buffered == 0 {
		t.Error("what is captured is not counted")
	}
	g.write(t, canonical(a, "secret {env.OTHER}"))
	g.load(t)
	await(t, "the end of what was captured", func() (any, bool) {
		buffered := g.metrics(t)[`buffered_bytes{where="memory"}`]
		return buffered, buffered == 0
	})
	run(1, "no request of this id was captured", "show", "--body", first)
}

// TestCaptureIsLocal: on an address that other machines reach, the admin API shows
// deliveries and no captured request.
func TestCaptureIsLocal(t *testing.T) {
	t.Parallel()
	address := outside(t)
	a, port := startApp(t), tools.FreePort(t)
	g := newGateway(t)
	g.write(t, canonical(a, "capture 2"))
	writeFile(t, g.file, strings.Replace(string(readFile(t, g.file)), "admin unix/{$HOME}/admin.sock", fmt.Sprintf("admin 0.0.0.0:%d", port), 1))
	g.start(t)
	id := g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch").header.Get(errorID)
	for host, want := range map[string]int{"127.0.0.1": http.StatusOK, address: http.StatusForbidden} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s:%d/webhook_auth/deliveries/%s/captured", host, port, id), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("at %s: %d, want %d", host, resp.StatusCode, want)
		}
	}
	if one := at(t, address, port); one.Path != "" || len(one.Hidden) != 2 || one.Reason != "signature_mismatch" {
		t.Errorf("at %s, the history shows %+v", address, one)
	}
	if one := at(t, "127.0.0.1", port); one.Path != "/webhook" || len(one.Hidden) != 0 {
		t.Errorf("on the loopback, the history shows %+v", one)
	}
	if output, ok := g.caddy(t, "webhook", "check", "--config", g.file); ok || !strings.Contains(output, "warning admin_open: by admin 0.0.0.0") {
		t.Errorf("check says %s", output)
	}
}

// at returns the one delivery that the admin API at that address shows.
func at(t *testing.T, host string, port int) seen {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s:%d/webhook_auth/deliveries", host, port), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var all []seen
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil || len(all) != 1 {
		t.Fatalf("%v, %+v", err, all)
	}
	return all[0]
}

// outside returns an address of this machine that is not on the loopback.
func outside(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	skip(t, "the machine has only a loopback")
	return ""
}

// TestCompletion: a shell is told the gates and ids of the running server, and presets.
func TestCompletion(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "name billing"))
	id := g.refused(t, a, post(chatBotKit), 401, "missing_signature").header.Get(errorID)
	for want, args := range map[string][]string{
		"billing": {"tail", g.socket(), "--gate", ""}, id: {"show", g.socket(), ""}, "stripe\t": {"presets", "str"}, "--refused": {"tail", "--re"},
	} {
		output, _ := g.caddy(t, slices.Concat([]string{"__complete", "webhook"}, args)...)
		if !strings.Contains(output, want) {
			t.Errorf("%v: %q is not in %s", args, want, output)
		}
	}
}

// TestManPages: the pages of caddy webhook render without a warning, and examples keep their
// lines.
func TestManPages(t *testing.T) {
	t.Parallel()
	groff, folder := needs(t, "groff"), t.TempDir()
	if output, ok := newGateway(t).caddy(t, "manpage", "--directory", folder); !ok {
		t.Fatal(output)
	}
	pages, _ := filepath.Glob(filepath.Join(folder, "caddy-webhook*.8"))
	if len(pages) != 10 {
		t.Errorf("%d pages: %q", len(pages), pages)
	}
	for _, page := range pages {
		var warnings strings.Builder
		cmd := command(t, groff, "-K", "utf8", "-t", "-man", "-ww", "-T", "utf8", "-P", "-c", page)
		cmd.Stderr = &warnings
		output, err := cmd.Output()
		if err != nil || warnings.Len() != 0 {
			t.Errorf("%s: %v\n%s", page, err, warnings.String())
		}
		if strings.HasSuffix(page, "-send.8") && !regexp.MustCompile(`(?m)^ +\$ caddy webhook send http://localhost:8080/webhook\n +signed +let through   200   kept$`).Match(output) {
			t.Errorf("the example is torn apart:\n%s", output)
		}
	}
}

// TestFailedReloadForgetsNothing: a configuration that does not start has not shrunk what
// the running one remembers and captures.
func TestFailedReloadForgetsNothing(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "capture 5"))
	var ids []string
	for range 3 {
		ids = append(ids, g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch").header.Get(errorID))
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for range 4 { // Caddy starts apps in any order
		g.write(t, "{\n\twebhook_auth {\n\t\thistory 1\n\t}\n}\n"+canonical(a, "capture 1")+"http://"+taken.Addr().String()+" {\n\trespond 200\n}\n")
		if output, ok := g.reload(t, "--force"); ok {
			t.Fatalf("a port that is in use: %s", output)
		}
	}
	if all := g.history(t, "?verdict=refused"); len(all) != len(ids) {
		t.Errorf("%d are remembered, want %d", len(all), len(ids))
	}
	for _, id := range ids {
		g.admin(t, "/webhook_auth/deliveries/"+id+"/captured")
	}
}

// TestHistoryWithoutLog: the history says what is wrong, whatever the log lets through.
func TestHistoryWithoutLog(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := newGateway(t)
	g.write(t, "{\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n"+canonical(a))
	g.launch(t)
	await(t, "the gateway", func() (any, bool) {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.addr)
		if err == nil {
			conn.Close()
		}
		return err, err == nil
	})
	g.deliver(t, post(chatBotKit, strings.Replace(signed([]byte(chatBotKit)), "sha256=", "", 1)))
	if all := g.history(t, ""); len(all) != 1 || all[0].Diagnosis == "" || all[0].Hint == "" {
		t.Errorf("remembered: %+v", all)
	}
}

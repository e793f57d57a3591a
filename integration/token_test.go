package integration_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tokens of these tests. Unlike a secret, a token may be in a log, if nothing filters it.
const (
	webhookToken = "tk-5f1d0c9a7be24e63880f4a6f1c2d3e4b"
	oldToken     = "tk-00112233445566778899aabbccddeeff"
	basicToken   = "hooks:5f1d0c9a7be24e63880f4a6f1c2d3e4b"
)

var tokenEnviron = []string{"WEBHOOK_TOKEN=" + webhookToken, "OLD_TOKEN=" + oldToken, "BASIC_TOKEN=" + basicToken}

// tokenSite is a site with a gate that has two tokens in X-Token.
func tokenSite(a *app, options ...string) string {
	return tokenSiteOf(a, "webhook_auth", append([]string{"token new {env.WEBHOOK_TOKEN}", "token old {env.OLD_TOKEN}", "header X-Token"}, options...)...)
}

func tokenSiteOf(a *app, directive string, options ...string) string {
	return ":{$PORT} {\n\thandle /webhook {\n\t\t" + directive + " {\n\t\t\t" + strings.Join(options, "\n\t\t\t") + "\n\t\t}\n\t\treverse_proxy " + a.addr + "\n\t}\n\trespond 404\n}\n"
}

const tokenLine = "X-Token: " + webhookToken

// TestTokenGateway: what has one of the tokens reaches the app byte for byte, whatever the
// body and its framing, in each form that a sender writes it in.
func TestTokenGateway(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	inBase64 := base64.StdEncoding.EncodeToString([]byte(basicToken))
	for _, tt := range []struct {
		name, site, field string
	}{
		{"the new token", tokenSite(a), tokenLine},
		{"the old one", tokenSite(a), "X-Token: " + oldToken},
		{"behind Bearer", tokenSiteOf(a, "webhook_auth brevo", "token {env.WEBHOOK_TOKEN}"), "Authorization: Bearer " + webhookToken},
		{"Basic", tokenSiteOf(a, "webhook_auth postmark", "token {env.BASIC_TOKEN}"), "Authorization: Basic " + inBase64},
		{"a preset", tokenSiteOf(a, "webhook_auth gitlab-token", "token {env.WEBHOOK_TOKEN}"), "X-Gitlab-Token: " + webhookToken},
		{"on_refusal handle_errors", tokenSite(a, "on_refusal handle_errors"), tokenLine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := startGateway(t, tt.site, tokenEnviron...)
			for _, body := range []string{chatBotKit, "", pattern(1, 3_000_000)} {
				g.accepts(t, a, post(body, tt.field))
				g.accepts(t, a, post(body, tt.field).chunks())
			}
			g.accepts(t, a, post(chatBotKit, tt.field, "Connection: "+strings.SplitN(tt.field, ":", 2)[0])) // see handOn
			name, value, _ := strings.Cut(tt.field, ": ")
			for why, fields := range map[string][]string{
				"token_missing": nil, "token_mismatch": {name + ": " + value + "x"}, "token_ambiguous": {tt.field, tt.field},
			} {
				g.refused(t, a, post(chatBotKit, fields...), http.StatusUnauthorized, why)
			}
		})
	}
}

// badTokens are refused by the header section alone.
var badTokens = []struct {
	name, why string
	fields    []string
}{
	{"none", "token_missing", nil},
	{"in Authorization", "token_missing", []string{"Authorization: Bearer " + webhookToken}},
	{"in a cookie", "token_missing", []string{"Cookie: X-Token=" + webhookToken}},
	{"with underscores", "token_missing", []string{"X_Token: " + webhookToken}},
	{"a signature", "token_missing", []string{signedWith(webhookToken, []byte(chatBotKit))}},
	{"an empty one", "token_mismatch", []string{"X-Token: "}},
	{"another one", "token_mismatch", []string{"X-Token: tk-ffeeddccbbaa99887766554433221100"}},
	{"in capitals", "token_mismatch", []string{"X-Token: " + strings.ToUpper(webhookToken)}},
	{"cut off", "token_mismatch", []string{"X-Token: " + webhookToken[:20]}},
	{"a digit more", "token_mismatch", []string{tokenLine + "0"}},
	{"behind Bearer", "token_mismatch", []string{"X-Token: Bearer " + webhookToken}},
	{"in quotes", "token_mismatch", []string{`X-Token: "` + webhookToken + `"`}},
	{"both on one line", "token_mismatch", []string{tokenLine + ", " + oldToken}},
	{"the reference", "token_mismatch", []string{"X-Token: {env.WEBHOOK_TOKEN}"}},
	{"its base64", "token_mismatch", []string{"X-Token: " + base64.StdEncoding.EncodeToString([]byte(webhookToken))}},
	{"two lines", "token_ambiguous", []string{tokenLine, tokenLine}},
	{"a wrong one in front", "token_ambiguous", []string{"X-Token: x", tokenLine}},
	{"an empty one behind", "token_ambiguous", []string{tokenLine, "X-Token: "}},
}

// TestTokenRefusalsAreAlike: every 401 of a gate with tokens is that of a gate with a
// signature byte for byte, and is there before the client sends a byte of the body.
func TestTokenRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	other := startGateway(t, canonical(a))
	want := anonymous(other.refused(t, a, post(chatBotKit), http.StatusUnauthorized, "missing_signature"))
	g := startGateway(t, tokenSite(a, "max_size 1KiB"), tokenEnviron...)
	for _, tt := range badTokens {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // the end of a connection takes a second
			if got := anonymous(g.refused(t, a, post(chatBotKit, tt.fields...), http.StatusUnauthorized, tt.why)); got != want {
				t.Errorf("the answer is\n%s\nand that to a missing signature\n%s", got, want)
			}
			waits := post(chatBotKit, append([]string{expect}, tt.fields...)...)
			c := g.dial(t)
			c.send(waits.head())
			g.refusal(t, c.response("POST"), http.StatusUnauthorized, tt.why) // a 100 would be the wrong status
			c.closed()
			a.nothing(t, waits.id)
		})
	}
	large := post(strings.Repeat("x", 1025), expect, tokenLine)
	c := g.dial(t)
	c.send(large.head())
	g.refusal(t, c.response("POST"), http.StatusRequestEntityTooLarge, "body_too_large")
	a.nothing(t, large.id)
}

// TestTokenReplayGateway: with replay a delivery is what payload says. Of two without a body
// both arrive, and each once.
func TestTokenReplayGateway(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, tokenSiteOf(a, "webhook_auth google-channel", "token {env.WEBHOOK_TOKEN}", "token {env.OLD_TOKEN}", "replay 1h"), tokenEnviron...)
	notification := func(token, number string) delivery {
		return post("", "X-Goog-Channel-Token: "+token, "X-Goog-Channel-ID: 4ba78bf0-6a47-11e2-bcfd-0800200c9a77", "X-Goog-Message-Number: "+number, "X-Goog-Resource-State: update")
	}
	g.accepts(t, a, notification(webhookToken, "1"))
	g.accepts(t, a, notification(webhookToken, "2"))
	for _, token := range []string{webhookToken, oldToken} {
		again := notification(token, "1")
		if resp := g.deliver(t, again); resp.status != http.StatusOK || resp.header.Get("Webhook-Auth-Duplicate") != "true" {
			t.Errorf("a repetition: %q", resp.head)
		}
		a.nothing(t, again.id)
	}
	g.refused(t, a, notification(oldToken+"x", "3"), http.StatusUnauthorized, "token_mismatch")
	g.accepts(t, a, notification(oldToken, "3"))
	g.refused(t, a, post("", "X-Goog-Channel-Token: "+webhookToken), http.StatusUnauthorized, "token_missing")
}

// tokenFilter is the block that `caddy webhook check` prints.
const tokenFilter = "\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>X-Token delete\n\t\t}\n\t}\n"

// TestTokenIsInNoLog: with the block that check prints, no line that Caddy can write holds the
// token, of an accepted, a refused and a failed delivery, with an access log and level debug.
// Without the block some do: a test that finds nothing anyway would prove nothing.
func TestTokenIsInNoLog(t *testing.T) {
	t.Parallel()
	a := startFaultyApp(t)
	for _, onRefusal := range []string{"answer", "handle_errors"} {
		for _, filtered := range []bool{true, false} {
			for _, accessLog := range []bool{true, false} {
				t.Run(onRefusal, func(t *testing.T) {
					t.Parallel()
					g := newGateway(t, append([]string{"SERVERS=trace"}, tokenEnviron...)...)
					site := tokenSite(&app{addr: a.addr}, "on_refusal "+onRefusal)
					if accessLog {
						site = strings.Replace(site, ":{$PORT} {\n", ":{$PORT} {\n\tlog\n", 1)
					}
					settings := "{\n\tdebug\n"
					if filtered {
						settings = "{\n" + strings.Replace(tokenFilter, "log {\n", "log {\n\t\tlevel DEBUG\n", 1)
					}
					g.write(t, settings+"}\n"+site)
					if output, ok := g.caddy(t, "webhook", "check", "--config", g.file); ok != filtered || strings.Contains(output, tokenFilter) == filtered {
						t.Errorf("check: %v\n%s", ok, output)
					}
					g.start(t)
					answered(t, g.deliver(t, post(chatBotKit, tokenLine)))
					g.deliver(t, post(chatBotKit, tokenLine+"x"))
					g.deliver(t, post(chatBotKit, tokenLine, tokenLine))
					for _, fault := range []string{"closes after the body", "resets in the answer's body"} {
						if _, ok := appFaults[fault]; !ok {
							t.Fatalf("no fault %q", fault)
						}
						c := g.dial(t)
						c.send(post(chatBotKit, tokenLine, "Connection: close", "X-Fault: "+fault).wire())
						io.Copy(io.Discard, c.r)
					}
					refusal := g.deliver(t, post(chatBotKit, "X-Token: last"))
					g.log.wait(t, "the last line", func(e entry) bool {
						return e.text("error_id") == refusal.header.Get(errorID) && e.text("msg") == "delivery diagnosed"
					})
					if log := g.log.String(); strings.Contains(log, webhookToken) == filtered {
						t.Errorf("filtered %v, access log %v: the token is in the log: %v\n%s", filtered, accessLog, !filtered, log)
					}
				})
			}
		}
	}
}

// TestCommandSendsEachToken: the gate keeps its promise to each sender with a token, and accepts
// what the command sends in its name, also with a replay guard where the preset says what
// makes a delivery.
func TestCommandSendsEachToken(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Preset, Token string
		Delivery      *string
	}
	if err := json.Unmarshal(readFile(t, filepath.Join(repository, "caddymodule/internal/signature/testdata/tokens.json")), &vectors); err != nil {
		t.Fatal(err)
	}
	var names []string
	site := ":{$PORT} {\n"
	for _, v := range vectors {
		if slices.Contains(names, v.Preset) {
			continue
		}
		names = append(names, v.Preset)
		options := "\t\t\ttoken \"" + v.Token + "\"\n"
		if v.Delivery != nil {
			options += "\t\t\treplay 1h\n"
		}
		site += "\thandle /" + v.Preset + " {\n\t\twebhook_auth " + v.Preset + " {\n" + options + "\t\t}\n\t\trespond app\n\t}\n"
	}
	if len(names) < 17 {
		t.Fatalf("only %d presets", len(names))
	}
	g := startGateway(t, site+"\trespond 404\n}\n")
	_, port, _ := net.SplitHostPort(g.addr)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, ok := g.caddy(t, "webhook", "send", "--config", g.file, "http://127.0.0.1:"+port+"/"+name)
			if !ok || strings.Count(output, "\tkept\n") != 4 {
				t.Errorf("%s", output)
			}
		})
	}
}

// TestTokenWarningsAtLoad: what a token cannot do is said at load, and the configuration loads.
func TestTokenWarningsAtLoad(t *testing.T) {
	t.Parallel()
	g := startGateway(t, tokenSite(&app{addr: "127.0.0.1:1"}), tokenEnviron...)
	lines, _ := g.log.find(warned)
	if len(lines) != 2 || !strings.HasPrefix(lines[0].text("msg"), "a token is no signature: nothing protects the body") ||
		lines[1].text("kind") != "token_in_log" || !strings.Contains(lines[1].text("block"), tokenFilter) {
		t.Errorf("warns %v", lines)
	}
	hidden := startGateway(t, tokenSiteOf(&app{addr: "127.0.0.1:1"}, "webhook_auth okta", "token {env.WEBHOOK_TOKEN}", "challenge okta"), tokenEnviron...)
	if lines, _ := hidden.log.find(warned); len(lines) != 1 {
		t.Errorf("in Authorization: warns %v", lines)
	}
}

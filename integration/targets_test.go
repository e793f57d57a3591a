package integration_test

import (
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

// targetSites are gates behind what changes a request before it reaches them. Where change
// is, the gate and the app see another path or method than arrived.
var targetSites = []struct{ name, change string }{
	{"handle_path", ":{$PORT} {\n\thandle_path /hooks/* {\nGATE\t}\n\trespond 404\n}\n"},
	{"rewrite", ":{$PORT} {\n\thandle /hooks/* {\n\t\trewrite * /index.php?x=1\nGATE\t}\n\trespond 404\n}\n"},
	{"uri", ":{$PORT} {\n\thandle /hooks/* {\n\t\turi replace hooks webhook\nGATE\t}\n\trespond 404\n}\n"},
	{"method", ":{$PORT} {\n\thandle /hooks/* {\n\t\tmethod PUT\nGATE\t}\n\trespond 404\n}\n"},
}

// targetOptions sign the method, the target and the body, or its hash.
var targetOptions = map[string][]string{
	"body": {"header X-Acme", "signature {hex}", `payload "{method} {path_query}{lf}{body}"`},
	"hash": {"header X-Acme", "signature {hex}", "payload {method}{path_query}{body_sha256}"},
}

// forTarget is a delivery that is signed for a method and target.
func forTarget(kind, method, target string) delivery {
	text := method + " " + target + "\n" + chatBotKit
	if kind == "hash" {
		text = method + target + sha256Hex(chatBotKit)
	}
	return post(chatBotKit, "X-Acme: "+hex.EncodeToString(sum([]byte(testSecret), text)))
}

// TestSignedTargets: what is signed is the method and the target that arrived, byte for
// byte, in HTTP/1.1 and in h2c, whatever Caddy makes of them before the gate. The body
// reaches the app once.
func TestSignedTargets(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	for _, site := range targetSites {
		for kind, options := range targetOptions {
			t.Run(site.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				g := startGateway(t, strings.Replace(site.change, "GATE", gate(a, options...), 1))
				h2c := newTransport(t, nil, (*http.Protocols).SetUnencryptedHTTP2)
				for _, target := range []string{"/hooks/a", "/hooks/a%2fb?c=%2F%2f&d", "/hooks//b/?"} {
					answered(t, g.deliver(t, arriving(t, a, forTarget(kind, "POST", target), target)))
					status(t, h2c, arriving(t, a, forTarget(kind, "POST", target), target).request(t, "http://"+g.addr), http.StatusOK)
					for _, other := range []delivery{
						forTarget(kind, "PUT", target), forTarget(kind, "POST", target+"x"), forTarget(kind, "POST", strings.TrimPrefix(target, "/hooks")),
						forTarget(kind, "POST", "/index.php?x=1"), forTarget(kind, "POST", strings.ToUpper(target)),
					} {
						other.target = target
						g.refused(t, a, other, 401, "signature_mismatch")
						status(t, h2c, other.request(t, "http://"+g.addr), http.StatusUnauthorized)
						a.nothing(t, other.id)
					}
				}
			})
		}
	}
}

// arriving is a delivery to a target. The app may have it.
func arriving(t *testing.T, a *app, d delivery, target string) delivery {
	t.Helper()
	d.target = target
	t.Cleanup(func() {
		if got := a.once(t, d.id); string(got.Body) != chatBotKit || got.URI == target && got.Method == "POST" {
			t.Errorf("%s: the app got %s %s, %q", target, got.Method, got.URI, got.Body)
		}
	})
	return d
}

func status(t *testing.T, client http.RoundTripper, r *http.Request, want int) {
	t.Helper()
	resp, err := client.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s %s: %d, want %d", r.Method, r.URL, resp.StatusCode, want)
	}
}

// TestOddTargets: a whole URL and an asterisk are no targets that a sender signs. A blank,
// which a client of HTTP/2 can send, cannot end the target early.
func TestOddTargets(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	site := func(kind string) *gateway {
		return startGateway(t, ":{$PORT} {\n"+gate(a, targetOptions[kind]...)+"}\n")
	}
	for kind := range targetOptions {
		g := site(kind)
		for _, target := range []string{"http://gateway/hooks/a", "*"} {
			d := forTarget(kind, "POST", target)
			d.target = target
			g.refused(t, a, d, 401, "malformed_signature")
		}
	}
	h2c := newTransport(t, nil, (*http.Protocols).SetUnencryptedHTTP2)
	blank := func(g *gateway, d delivery, path string) *http.Request {
		d.target = "/"
		r := d.request(t, "http://"+g.addr)
		r.URL.Opaque = path // it is not written as a URL
		return r
	}
	g := startGateway(t, ":{$PORT} {\n"+gate(a, "header X-Acme", "signature {hex}", `payload "{path_query} {body}"`)+"}\n")
	cut := post("b c", "X-Acme: "+hex.EncodeToString(sum([]byte(testSecret), "/a b c")))
	for path, want := range map[string]int{"/a b": http.StatusUnauthorized, "/a": http.StatusOK} {
		d := cut
		d.id, d.body = fresh(), []byte(strings.TrimPrefix(strings.TrimPrefix("/a b c", path), " "))
		status(t, h2c, blank(g, d, path), want)
		if want == http.StatusOK {
			a.once(t, d.id)
		}
	}
	g = site("hash")
	d := forTarget("hash", "POST", "/a b")
	status(t, h2c, blank(g, d, "/a b"), http.StatusOK)
	if got := a.once(t, d.id); string(got.Body) != chatBotKit {
		t.Errorf("the app got %q", got.Body)
	}
}

package caddymodule

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// edKey is the key of RFC 8032, section 7.1, test 2.
var edKey = ed25519.NewKeyFromSeed([]byte("\x4c\xcd\x08\x9b\x28\xff\x96\xda\x9d\xb6\xc3\x46\xec\x11\x4e\x0f\x5b\x8a\x31\x9f\x35\xab\xa6\x24\xda\x8c\xf6\xed\x4f\xb8\xa6\xfb"))

var edPublic = hex.EncodeToString(edKey.Public().(ed25519.PublicKey))

func emptyContext(t testing.TB) caddy.Context {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return ctx
}

// keyed is a provisioned gate with public keys.
func keyed(t testing.TB, h *Handler) (*Handler, *observer.ObservedLogs) {
	t.Helper()
	if err := h.Provision(emptyContext(t)); err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zap.DebugLevel)
	h.logger = zap.New(core)
	return h, logs
}

// discordRequest is what Discord sends.
func discordRequest(body string) *http.Request {
	at := strconv.FormatInt(time.Now().Unix(), 10)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Signature-Timestamp", at)
	r.Header.Set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(edKey, []byte(at+body))))
	return r
}

// Each preset with a public key loads with nothing but the key, and the URL where it is
// signed, and takes what its sender has signed.
func TestPublicPresetsLoad(t *testing.T) {
	data, err := os.ReadFile("internal/signature/testdata/publickeys.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Preset, Key, KeyName, Name, URL string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	loaded := make(map[string]bool)
	for _, v := range vectors {
		if v.Name != "right" {
			continue
		}
		h := &Handler{Preset: v.Preset, PublicURL: v.URL, PublicKeys: []PublicKey{{Name: v.KeyName, Value: v.Key}}}
		if err := h.Provision(emptyContext(t)); err != nil {
			t.Errorf("%s: %v", v.Preset, err)
		}
		loaded[v.Preset] = true
		p, _ := signature.FindPresetOf(v.Preset, signature.PublicKeys)
		if want := int64(256 << 10); p.Scheme.OnePiece() != (h.MaxSize == want) {
			t.Errorf("%s: max_size %d", v.Preset, h.MaxSize)
		}
		if h.Name != v.Preset {
			t.Errorf("%s: name %q", v.Preset, h.Name)
		}
	}
	if len(loaded) != len(signature.PublicPresets()) {
		t.Errorf("%d of %d presets were loaded", len(loaded), len(signature.PublicPresets()))
	}
}

// Of a body whose hash is signed, nothing is held in one piece, so it may be as large as any.
func TestHashedBodiesHaveTheUsualLimit(t *testing.T) {
	for payload, want := range map[string]int64{"": defaultOnePiece, "{body_sha512}": defaultMaxSize} {
		h, _ := keyed(t, &Handler{
			Headers: []string{"X-Sig"}, Algorithms: []string{"ed25519"}, Signature: "{base64}", Payload: payload, PublicKeys: []PublicKey{{Value: edPublic}},
		})
		if h.MaxSize != want {
			t.Errorf("%q: max_size %d, want %d", payload, h.MaxSize, want)
		}
	}
}

// What is signed with the private key reaches the app, byte for byte, and nothing else.
func TestPublicKeyGate(t *testing.T) {
	h, _ := keyed(t, &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}})
	const body = `{"type":2,"token":"x"}`
	next := new(spy)
	if _, err := serve(h, newRecorder(), discordRequest(body), next); err != nil || next.calls != 1 || string(next.body) != body {
		t.Errorf("%v, the app was called %d times with %q", err, next.calls, next.body)
	}
	for name, change := range map[string]func(*http.Request){
		"another body": func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"type":3,"token":"x"}`)) },
		"another time": func(r *http.Request) {
			r.Header.Set("X-Signature-Timestamp", strconv.FormatInt(time.Now().Unix()+1, 10))
		},
		"the key's text":    func(r *http.Request) { r.Header.Set("X-Signature-Ed25519", edPublic+edPublic) },
		"a wrong signature": func(r *http.Request) { r.Header.Set("X-Signature-Ed25519", strings.Repeat("0", 128)) },
	} {
		r, w, next := discordRequest(body), newRecorder(), new(spy)
		change(r)
		_, _ = serve(h, w, r, next)
		if next.calls != 0 || w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d, the app was called %d times", name, w.Code, next.calls)
		}
	}
}

// Discord's PINGs are answered, and its events are not: type 1 is an event there.
func TestDiscordPings(t *testing.T) {
	const (
		interaction = `{"application_id":"1","id":"2","token":"A_UNIQUE_TOKEN","type":1,"version":1}`
		ping        = `{"version":1,"application_id":"1234560123453231555","type":0}`
		event       = `{"version":1,"application_id":"1","type":1,"event":{"type":"APPLICATION_AUTHORIZED"}}`
	)
	for _, tc := range []struct {
		preset, body string
		status       int
		answer       string
	}{
		{"discord", interaction, 200, `{"type":1}`},
		{"discord-events", ping, 204, ""},
		{"discord", event, 0, ""},
		{"discord-events", event, 0, ""},
		{"discord", ping, 0, ""},
		{"discord-events", interaction, 0, ""},
	} {
		h, _ := keyed(t, &Handler{Preset: tc.preset, PublicKeys: []PublicKey{{Value: edPublic}}})
		w, next := newRecorder(), new(spy)
		if _, err := serve(h, w, discordRequest(tc.body), next); err != nil {
			t.Errorf("%s: %v", tc.preset, err)
		}
		if answered := tc.status != 0; answered != (next.calls == 0) || answered && (w.Code != tc.status || w.Body.String() != tc.answer) {
			t.Errorf("%s, %s: %d %q, the app was called %d times", tc.preset, tc.body, w.Code, w.Body, next.calls)
		}
		if tc.status != 0 && w.Header().Get("Content-Type") != "application/json" { // Discord asks for one, also of a 204
			t.Errorf("%s: the answer has the fields %v", tc.preset, w.Header())
		}
	}
}

// A key id chooses the key, before the body is read, and an unknown one looks like any
// other refusal. Names may be as long as GitHub's and WeChat's ids.
func TestKeyIDs(t *testing.T) {
	other, _, _ := ed25519.GenerateKey(rand.Reader)
	long := strings.Repeat("bcb53661", 16)
	h, logs := keyed(t, &Handler{
		PublicKeys: []PublicKey{{Name: long, Value: edPublic}, {Name: "5157F09E:x_y.z-1", Value: hex.EncodeToString(other)}},
		Algorithms: []string{"ed25519"}, Headers: []string{"X-Signature"}, Signature: "{hex}", KeyID: "X-Key-Id",
	})
	for id, want := range map[string]refusal.Reason{long: "", "5157F09E:x_y.z-1": refusal.SignatureMismatch, "1": refusal.KeyUnknown, "": refusal.KeyUnknown} {
		body := &touchedBody{ReadCloser: io.NopCloser(strings.NewReader("body"))}
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		w, next := newRecorder(), new(spy)
		body.w, r.Body, r.ContentLength = w, body, 4
		r.Header.Set("X-Key-Id", id)
		r.Header.Set("X-Signature", hex.EncodeToString(ed25519.Sign(edKey, []byte("body"))))
		_, err := serve(h, w, r, next)
		if want == "" {
			if err != nil || next.calls != 1 {
				t.Errorf("%s: %v", id, err)
			}
			continue
		}
		if next.calls != 0 || w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != "HMAC" {
			t.Errorf("%q: %d %v", id, w.Code, w.Header())
		}
		if want == refusal.KeyUnknown && body.read {
			t.Errorf("%q: the body was read", id)
		}
	}
	if logs.FilterField(zap.String("reason", string(refusal.KeyUnknown))).Len() != 2 {
		t.Error("the log does not say key_unknown")
	}
}

// What cannot be does not load, and the error says what to write.
func TestPublicKeysThatDoNotLoad(t *testing.T) {
	keys := []PublicKey{{Value: edPublic}}
	secrets := []Secret{{Value: "a literal, long enough"}}
	file := filepath.Join(t.TempDir(), "private.pem")
	der, _ := x509.MarshalPKCS8PrivateKey(edKey)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	scheme := Handler{Algorithms: []string{"ed25519"}, Headers: []string{"X-Signature"}, Signature: "{hex}"}
	with := func(change func(*Handler)) *Handler {
		h := scheme
		h.PublicKeys = keys
		change(&h)
		return &h
	}
	for name, tc := range map[string]struct {
		h    *Handler
		want string
	}{
		"both kinds":                    {&Handler{Preset: "discord", PublicKeys: keys, Secrets: secrets}, "exclude each other"},
		"both kinds, a preset of both":  {&Handler{Preset: "standard-webhooks", PublicKeys: keys, Secrets: secrets}, "exclude each other"},
		"a secret for discord":          {&Handler{Preset: "discord", Secrets: secrets}, "write public_key instead of secret"},
		"a public key for github":       {&Handler{Preset: "github", PublicKeys: keys}, "write secret instead of public_key"},
		"an unknown preset":             {&Handler{Preset: "discrod", PublicKeys: keys}, "discrod"},
		"no algorithm":                  {with(func(h *Handler) { h.Algorithms = nil }), "one must be named"},
		"an algorithm of secrets":       {with(func(h *Handler) { h.Algorithms = []string{"sha256"} }), "one must be named"},
		"of secrets, with a preset":     {&Handler{Preset: "standard-webhooks", PublicKeys: keys, Algorithms: []string{"sha256"}}, "one must be named"},
		"of public keys, with a secret": {&Handler{Preset: "standard-webhooks", Secrets: secrets, Algorithms: []string{"ed25519"}}, "ed25519"},
		"no field":                      {with(func(h *Handler) { h.Headers = nil }), "header"},
		"secret_encoding":               {with(func(h *Handler) { h.SecretEncoding = "hex" }), "secret_encoding"},
		"key_id with a secret":          {&Handler{Secrets: secrets, KeyID: "X-Key"}, "key_id"},
		"a secret of the same sender":   {&Handler{Preset: "standard-webhooks", PublicKeys: []PublicKey{{Value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}, "write it as secret"},
		"its private key":               {&Handler{Preset: "standard-webhooks", PublicKeys: []PublicKey{{Value: "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}}, "whpk_"},
		"its public key as a secret":    {&Handler{Preset: "standard-webhooks", Secrets: []Secret{{Value: "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}}}, "public_key"},
		"a private key in a file":       {with(func(h *Handler) { h.PublicKeys = []PublicKey{{Value: "{file." + file + "}"}} }), "public_key 1: {file." + file + "} is a private key"},
		"an unset variable":             {with(func(h *Handler) { h.PublicKeys = []PublicKey{{Value: "{env.NO_SUCH_VARIABLE_X}"}} }), "NO_SUCH_VARIABLE_X"},
		"no value":                      {with(func(h *Handler) { h.PublicKeys = []PublicKey{{}} }), "empty"},
		"a long name":                   {with(func(h *Handler) { h.PublicKeys[0].Name = strings.Repeat("x", 129) }), "128"},
		"a name with a blank":           {with(func(h *Handler) { h.PublicKeys[0].Name = "a b" }), "letters"},
		"a name twice":                  {with(func(h *Handler) { h.PublicKeys = []PublicKey{{"a", edPublic}, {"a", edPublic}} }), "twice"},
		"key_id and a key with no name": {with(func(h *Handler) { h.KeyID = "X-Key" }), "public_key 1: it has no name"},
		"the same with a preset":        {&Handler{Preset: "github-secret-scanning", PublicKeys: keys}, "Github-Public-Key-Identifier"},
		"a large max_size":              {with(func(h *Handler) { h.MaxSize = 17 << 20 }), "16MiB"},
		"17 keys":                       {with(func(h *Handler) { h.PublicKeys = make([]PublicKey, 17) }), "empty"},
		"a challenge that needs a MAC":  {with(func(h *Handler) { h.Challenge = &Challenge{Kind: "x"} }), "the answer of x"},
	} {
		keys[0].Name = ""
		h := tc.h
		if name == "a long name" || name == "a name with a blank" {
			h.PublicKeys = []PublicKey{{Name: map[string]string{"a long name": strings.Repeat("x", 129), "a name with a blank": "a b"}[name], Value: edPublic}}
		}
		err := h.Provision(emptyContext(t))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
			continue
		}
		if strings.Contains(err.Error(), base64.StdEncoding.EncodeToString(der)[20:40]) || strings.Contains(err.Error(), "MfKQ9r8GKYqrTw") {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

// Too many keys are found where the Caddyfile is read, as too many secrets are.
func TestNumberOfPublicKeys(t *testing.T) {
	for n, want := range map[int]bool{16: false, 17: true} {
		_, err := adapted(t, strings.Repeat("public_key "+edPublic+"\n", n)+"max_size 25")
		if got := strings.Contains(err.Error(), "there are 17; it takes 1 to 16"); got != want {
			t.Errorf("%d keys: %v", n, err)
		}
	}
}

// A larger max_size loads if it is written.
func TestEd25519MaxSize(t *testing.T) {
	h := &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}, MaxSize: 16 << 20}
	if err := h.Provision(emptyContext(t)); err != nil || h.MaxSize != 16<<20 {
		t.Errorf("%v, max_size %d", err, h.MaxSize)
	}
}

// Whoever captured a delivery can make another signature of it, and the guard still knows
// it. A gate with keys and a guard loads, and remembers across a rotation.
func TestReplayOfATwin(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spki, _ := x509.MarshalPKIXPublicKey(key.Public())
	h, _ := keyed(t, &Handler{
		Name: "twins", PublicKeys: []PublicKey{{Value: base64.StdEncoding.EncodeToString(spki)}}, Algorithms: []string{"ecdsa-p256-sha256"},
		Headers: []string{"X-Signature"}, Signature: "{raw_hex}", Replay: &Replay{Window: caddy.Duration(24 * time.Hour)},
	})
	digest := sha256.Sum256([]byte("body"))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	next := new(spy)
	for i, s := range []*big.Int{s, new(big.Int).Sub(key.Params().N, s)} {
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		request.Header.Set("X-Signature", hex.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
		w := newRecorder()
		if _, err := serve(h, w, request, next); err != nil || w.Code != 200 {
			t.Errorf("%d: %d, %v", i, w.Code, err)
		}
		if duplicate := w.Header().Get("Webhook-Auth-Duplicate") == "true"; duplicate != (i == 1) {
			t.Errorf("%d: duplicate %v", i, duplicate)
		}
	}
	if next.calls != 1 {
		t.Errorf("the app was called %d times", next.calls)
	}
}

// In a FIPS 140-only process the keys that it forbids do not load, and the others do.
func TestPublicKeysUnderFIPS(t *testing.T) {
	if os.Getenv("WEBHOOK_AUTH_FIPS") != "" {
		h := &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}, Replay: &Replay{Window: caddy.Duration(24 * time.Hour)}}
		if err := h.Provision(emptyContext(t)); err != nil {
			t.Errorf("ed25519: %v", err)
		}
		h = &Handler{Preset: "wise", PublicKeys: []PublicKey{{Value: smallExponent(t)}}}
		if err := h.Provision(emptyContext(t)); err == nil {
			t.Error("an RSA key with the exponent 3 loads")
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPublicKeysUnderFIPS$")
	cmd.Env = append(os.Environ(), "WEBHOOK_AUTH_FIPS=1", "GODEBUG=fips140=only")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func smallExponent(t *testing.T) string {
	t.Helper()
	n, _ := new(big.Int).SetString(strings.Repeat("f", 511)+"d", 16)
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 3})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(spki)
}

// Verifications are bounded, and a delivery that waits too long gets 503, so that the
// sender retries. A gate with secrets does not wait, and nothing is left counted.
func TestVerificationsAreBounded(t *testing.T) {
	h, _ := keyed(t, &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}})
	for range cap(verifications()) {
		verifications() <- struct{}{}
	}
	w, next := newRecorder(), new(spy)
	_, _ = serve(h, w, discordRequest("{}"), next)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || next.calls != 0 {
		t.Errorf("%d %v, the app was called %d times", w.Code, w.Header(), next.calls)
	}
	secret, _ := provisioned(t, &Handler{})
	w, next = newRecorder(), new(spy)
	if _, err := serve(secret, w, signed(delivery), next); err != nil || next.calls != 1 {
		t.Errorf("a gate with a secret: %d, %v", w.Code, err)
	}
	for range cap(verifications()) {
		<-verifications()
	}
	w, next = newRecorder(), new(spy)
	if _, err := serve(h, w, discordRequest("{}"), next); err != nil || next.calls != 1 {
		t.Errorf("with room: %d, %v", w.Code, err)
	}
	if len(verifications()) != 0 {
		t.Errorf("%d verifications are still counted", len(verifications()))
	}
}

// The memory of a body in one piece is counted, and comes back. It is bounded by the turns:
// what other gates hold of unverified bodies must not keep this one from verifying.
func TestMemoryOfOnePiece(t *testing.T) {
	h, _ := keyed(t, &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}})
	before, limit := budget.Memory.Used(), budget.Memory.Limit()
	budget.Memory.SetLimit(before)
	defer budget.Memory.SetLimit(limit)
	w, next := newRecorder(), new(spy)
	if _, err := serve(h, w, discordRequest(strings.Repeat("x", 3000)), next); err != nil || next.calls != 1 {
		t.Errorf("%d, %v, the app was called %d times", w.Code, err, next.calls)
	}
	leave, err := h.material().admit(3000)
	if err != nil || budget.Memory.Used() != before+3000 {
		t.Errorf("%v, %d bytes are counted", err, budget.Memory.Used()-before)
	}
	leave()
	leave() // the deferred one
	if used := budget.Memory.Used(); used != before || len(verifications()) != 0 {
		t.Errorf("%d bytes and %d turns are still counted", used-before, len(verifications()))
	}
}

// unsafe_observe_only lets what has not been verified through, bytes and all.
func TestObservedWithoutATurn(t *testing.T) {
	h, _ := keyed(t, &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}, UnsafeObserveOnly: true})
	for range cap(verifications()) {
		verifications() <- struct{}{}
	}
	defer func() {
		for range cap(verifications()) {
			<-verifications()
		}
	}()
	w, next := newRecorder(), new(spy)
	if _, err := serve(h, w, discordRequest("{}"), next); err != nil || string(next.body) != "{}" {
		t.Errorf("%d, %v, the app got %q", w.Code, err, next.body)
	}
}

// The line at load says what the gate verifies with.
func TestSummaryOfPublicKeys(t *testing.T) {
	h, _ := keyed(t, &Handler{Preset: "discord", PublicKeys: []PublicKey{{Value: edPublic}}})
	if got, want := h.summary(), "gate discord: discord, 1 public key, challenge discord"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Two gates with one public key and two payloads are warned of; with one payload, as for
// Discord's two kinds of requests, they are not.
func TestSharedPublicKeys(t *testing.T) {
	for second, want := range map[string]int{"discord-events": 0, "highlevel": 1} {
		keys := []PublicKey{{Value: edPublic}}
		found, err := sharing(t, Handler{Preset: "discord", PublicKeys: keys}, Handler{Preset: second, PublicKeys: keys})
		if err != nil || len(found) != want || want == 1 && (found[0].Kind != lint.PublicKeyShared || found[0].Other != "discord") {
			t.Errorf("%s: %v, finds %v", second, err, found)
		}
	}
}

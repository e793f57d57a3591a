package diagnosis_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// text is a body that can be written repeatedly.
type text string

func (b text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(b))
	return int64(n), err
}

// signedBy signs a delivery as the scheme asks for, with a key of the caller's choice.
func signedBy(s signature.Scheme, key, body string) *signature.Delivery {
	d := &signature.Delivery{Header: header(), Method: http.MethodPost, Now: now}
	if s.NeedsURL() {
		d.URL = "https://hooks.example.com/in"
	}
	stamps := map[string]string{"": fmt.Sprint(now.Unix()), "ms": fmt.Sprint(now.UnixMilli()), "rfc3339": now.UTC().Format(time.RFC3339)}
	s = s.Or(signature.Scheme{Headers: signature.DefaultHeaders, Signature: "{alg}={hex}", Payload: "{body}", Algorithms: []string{"sha256"}})
	ts := stamps[s.TimestampUnit]
	if s.Timestamp != "" {
		d.Header.Set(s.Timestamp, ts)
	}
	hashed := sha256.Sum256([]byte(body))
	payload := strings.NewReplacer("{ts}", ts, "{body}", body, "{url}", d.URL, "{method}", d.Method, "{nonce}", "nonce-1",
		"{body_sha256}", hex.EncodeToString(hashed[:])).Replace(s.Payload)
	for {
		_, rest, found := strings.Cut(payload, "{header.")
		name, _, _ := strings.Cut(rest, "}")
		if !found || strings.Contains(body, "{header.") {
			break
		}
		d.Header.Set(name, "id-1")
		payload = strings.Replace(payload, "{header."+name+"}", "id-1", 1)
	}
	sum := sign(s.Algorithms[0], key, payload)
	value := strings.NewReplacer(
		"{alg}", s.Algorithms[0], "{ts}", ts, "{nonce}", "nonce-1", "{hex}", hex.EncodeToString(sum), "{base64}", base64.StdEncoding.EncodeToString(sum),
		"{base64url}", base64.RawURLEncoding.EncodeToString(sum), ",...", "", " ...", "").Replace(s.Signature)
	d.Header.Set(s.Headers[0], value)
	return d
}

// bodies fit every row that rewrites bodies.
var bodies = []string{
	plain, plain + "\n", indent(plain, "  "), "payload=" + plain, zip(plain), "\xEF\xBB\xBF" + plain, "quux\r\ncorge\n",
	`{"a":"Gr\u00fc\u00dfe \ud83d\ude00 \/ / ü <b>"}`, "\xFF\xFE", strings.Repeat("[", 30_000),
}

func TestForgeriesStayUnknown(t *testing.T) {
	others := []*diagnosis.Gate{gate("a", preset("github"), decoy+"1"), gate("b", preset("stripe"), decoy+"2")}
	for _, p := range signature.Presets() {
		for _, own := range []string{secret, hexKey, " '" + hexKey + "'\n", "whsec_" + hexKey} {
			if _, err := signature.New(p.Scheme, secrets(own)); err != nil {
				continue // it does not decode
			}
			g := gate(p.Name, p.Scheme, own)
			for i, body := range bodies {
				d := signedBy(p.Scheme, "a stranger's key", body)
				if err := (situation{p.Scheme, []string{own}, d, body}).verdict(t); !errors.Is(err, refusal.SignatureMismatch) {
					t.Fatalf("%s, body %d: the gate says %v", p.Name, i, err)
				}
				if f := g.Diagnose(d, []byte(body), others); f.Diagnosis != diagnosis.Unknown || f.Hint == "" {
					t.Errorf("%s, body %d: %+v", p.Name, i, f)
				}
			}
		}
	}
}

// A delivery that the judge accepts is Unknown too: a Finding cannot show acceptance.
func TestAcceptedStaysUnknown(t *testing.T) {
	for _, p := range signature.Presets() {
		own := secret
		switch p.Scheme.SecretEncoding {
		case "hex":
			own = hex.EncodeToString([]byte(secret))
		case "base64":
			own = base64.StdEncoding.EncodeToString([]byte(secret))
		}
		d := signedBy(p.Scheme, secret, plain)
		if err := (situation{p.Scheme, []string{own}, d, plain}).verdict(t); err != nil {
			t.Fatalf("%s: the gate says %v", p.Name, err)
		}
		if f := gate(p.Name, p.Scheme, own).Diagnose(d, []byte(plain), nil); f.Diagnosis != diagnosis.Unknown {
			t.Errorf("%s: %+v", p.Name, f)
		}
	}
}

func TestLargeBodiesAreNotDiagnosed(t *testing.T) {
	g := gate("own", signature.Scheme{}, secret)
	for size, want := range map[int]diagnosis.Diagnosis{diagnosis.MaxBody: "trailing_newline_was_added", diagnosis.MaxBody + 1: diagnosis.Unknown} {
		signed := bytes.Repeat([]byte("q"), size-1)
		d := &signature.Delivery{Header: hub(secret, string(signed)), Now: now}
		if f := g.Diagnose(d, append(signed, '\n'), nil); f.Diagnosis != want {
			t.Errorf("%d bytes: %s, want %s", size, f.Diagnosis, want)
		}
	}
}

// A few bytes must not unpack or nest so that they fill the memory.
func TestBombsAreBounded(t *testing.T) {
	g := gate("own", signature.Scheme{}, secret)
	g.Diagnose(&signature.Delivery{Header: hub("a stranger's key", "x"), Now: now}, []byte("x"), nil) // compiles what is kept
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	for name, body := range map[string]string{
		"gzip":    zip(strings.Repeat("\x00", 50<<20)),
		"nesting": deep,
		"commas":  "[" + strings.Repeat("0,", 30_000) + "0]",
		"html":    `"` + strings.Repeat("<", 60_000) + `"`,
	} {
		if len(body) > diagnosis.MaxBody {
			t.Fatalf("%s: %d bytes are not diagnosed", name, len(body))
		}
		d := &signature.Delivery{Header: hub("a stranger's key", body), Now: now}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if f := g.Diagnose(d, []byte(body), nil); f.Diagnosis != diagnosis.Unknown {
			t.Errorf("%s: %+v", name, f)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > slack*16<<20 {
			t.Errorf("%s: %d bytes are allocated", name, got)
		}
	}
}

func TestForeignFieldsAndHops(t *testing.T) {
	h := header("Stripe-Signature", "x", "X-Hub-Signature", "x", "X-Hub-Signature-256", "x", "CF-Ray", "x", "X-Forwarded-For", "x", "Cookie", "x")
	h["Linear-Signature"] = nil
	g := gate("own", preset("github"), secret)
	if got, want := g.ForeignFields(h), []string{"Stripe-Signature", "X-Hub-Signature"}; !slices.Equal(got, want) {
		t.Errorf("foreign fields: %q, want %q", got, want)
	}
	if got, want := diagnosis.Hops(h), []string{"Cf-Ray", "Via", "X-Forwarded-For"}; !slices.Equal(got, want) {
		t.Errorf("hops: %q, want %q", got, want)
	}
	all := make(http.Header)
	for _, p := range signature.Presets() {
		for _, name := range p.Scheme.Headers {
			all.Set(name, "x")
		}
	}
	if got := g.ForeignFields(all); len(got) != len(all)-1 || !slices.IsSorted(got) {
		t.Errorf("of %d fields, %d are foreign: %q", len(all), len(got), got)
	}
}

// The value of a field decides which preset a hint names, if any, and not its name alone.
func TestHintsFollowTheValue(t *testing.T) {
	g := gate("own", preset("slack"), secret)
	digest, b64 := strings.Repeat("0a", 32), base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tc := range []struct {
		fields http.Header
		want   []string
		never  string
	}{
		{header("webhook-signature", "v1,"+b64), []string{"`webhook_auth standard-webhooks`", "Another field"}, "gocardless"},
		{header("webhook-signature", digest), []string{"`webhook_auth gocardless`"}, "standard"},
		{header("X-Webhook-Signature", digest), []string{"`webhook_auth firstpromoter`"}, "cursor"},
		{header("X-Webhook-Signature", "sha256="+digest), []string{"`webhook_auth cursor`"}, "firstpromoter"},
		{header("X-Hub-Signature", "sha1="+digest[:40]), []string{"`webhook_auth websub` or `webhook_auth intercom`"}, "chatbotkit"},
		{header("X-Hub-Signature-256", "sha256="+digest, "X-Hub-Signature", "sha1="+digest[:40]), []string{"X-Hub-Signature-256", "`webhook_auth github`"}, "intercom"},
		{header("X-Webhook-Signature", "no signature"), []string{"`header X-Webhook-Signature`", "no preset"}, "webhook_auth"},
	} {
		got := g.Inspect(&signature.Delivery{Header: tc.fields, Now: now}, refusal.MissingSignature)
		for _, want := range tc.want {
			if got.Diagnosis != "signature_in_another_field" || !strings.Contains(got.Hint, want) || strings.Contains(got.Hint, tc.never) {
				t.Errorf("%v: %+v, want %q and not %q", tc.fields, got, want, tc.never)
			}
		}
	}
}

// If nothing can be proven, the hint lists the tags that came, and nothing else of them.
func TestTagsThatCame(t *testing.T) {
	g := gate("own", preset("pagerduty"), secret)
	digest := strings.Repeat("0a", 32)
	for value, want := range map[string]string{
		"V1=short,v2=":                 `the tag "v1=", which the gate expects; the items that came have "V1="`,
		"a=1,b=2,c=3,d=4,e=5":          `have "a=", "b=", "c=", "d="; write`,
		digest:                         "",
		digest + "," + digest:          "",
		"v1=short":                     "", // it has the tag
		strings.Repeat("a", 40) + "=1": "",
		"{hex}=1":                      "",
	} {
		got := g.Inspect(&signature.Delivery{Header: header("X-PagerDuty-Signature", value), Now: now}, refusal.MalformedSignature)
		if want == "" && got.Diagnosis != "" || !strings.Contains(got.Hint, want) {
			t.Errorf("%q: %+v, want %q", value, got, want)
		}
	}
}

// This package lists the same algorithms and units as the signature package.
func TestNamesAreTheJudges(t *testing.T) {
	err := signature.Scheme{Algorithms: []string{"none"}, TimestampUnit: "none"}.Validate()
	for _, want := range []string{"write sha256, sha384, sha512 or sha1 (", "with public_key ed25519, ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-v1_5-sha256, rsa-v1_5-sha512 or rsa-pss-sha512", "write s, ms, rfc3339 or http"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}

func FuzzDiagnose(f *testing.F) {
	for _, body := range bodies {
		f.Add([]byte(body), "sha256=00")
	}
	for _, row := range rows() {
		for name := range row.header {
			f.Add([]byte(row.body), row.header.Get(name))
		}
	}
	known := diagnosis.Diagnoses()
	gates := []*diagnosis.Gate{gate("hub", signature.Scheme{}, secret, hexKey), gate("stripe", preset("stripe"), decoy), gate("svix", preset("svix"), hexKey)}
	listed, single := gate("pagerduty", preset("pagerduty"), secret), gate("shopify", preset("shopify"), secret)
	hub, _ := signature.NewChallenge("hub", []string{secret})
	f.Fuzz(func(t *testing.T, body []byte, value string) {
		forged := signedBy(signature.Scheme{}, "a stranger's key", string(body))
		before := bytes.Clone(body)
		if found := gates[0].Diagnose(forged, body, gates); len(body) > 0 && found.Diagnosis != diagnosis.Unknown {
			t.Errorf("a forgery is %s", found.Diagnosis)
		}
		if !bytes.Equal(before, body) {
			t.Error("the body was written to")
		}
		for _, own := range []struct {
			gate  *diagnosis.Gate
			field string
		}{{listed, "X-PagerDuty-Signature"}, {single, "X-Shopify-Hmac-Sha256"}, {gates[0], "webhook-signature"}} {
			found := own.gate.Diagnose(&signature.Delivery{Header: header(own.field, value), Now: now}, body, nil)
			if part := common(value, found.Hint, 24); part != "" || len(found.Hint) > 500 {
				t.Errorf("the hint holds %q of the request: %s", part, found.Hint)
			}
		}
		if found := gates[0].Check(&signature.Request{Method: value, Header: header(), Query: string(body)}, hub); found.Diagnosis != "" &&
			(!slices.Contains(known, found.Diagnosis) || common(string(body), found.Hint, 24) != "") {
			t.Errorf("%+v", found)
		}
		for i, field := range []string{"X-Hub-Signature-256", "Stripe-Signature", "svix-signature"} {
			d := &signature.Delivery{Header: header(field, value, "svix-id", value, "svix-timestamp", value), Now: now}
			found := gates[i].Diagnose(d, body, gates)
			if !slices.Contains(known, found.Diagnosis) || len(found.Hint) > 500 {
				t.Errorf("%+v", found)
			}
			if part := common(value, found.Hint, 24); part != "" {
				t.Errorf("the hint holds %q of the request", part)
			}
		}
	})
}

// A gate that is printed by mistake shows no secret, before and after its first
// diagnosis.
func TestAPrintedGateShowsNoSecret(t *testing.T) {
	g := gate("own", preset("github"), secret, decoy)
	for range 2 {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if out := fmt.Sprintf(format, g) + fmt.Sprintf(format, *g); common(secret, out, 6)+common(decoy, out, 6) != "" {
				t.Errorf("%s: %s", format, out)
			}
		}
		g.Diagnose(signedBy(preset("github"), "a stranger's key", plain), []byte(plain), nil)
	}
}

// One gate serves all requests at once.
func TestConcurrentDiagnoses(t *testing.T) {
	g := gate("own", preset("github"), secret, decoy)
	var all sync.WaitGroup
	for _, signed := range bodies {
		all.Go(func() {
			d := signedBy(preset("github"), secret+"\n", signed)
			if f := g.Diagnose(d, []byte(signed), []*diagnosis.Gate{g}); f.Diagnosis != "sender_secret_ends_with_newline" {
				t.Errorf("%+v", f)
			}
		})
	}
	all.Wait()
}

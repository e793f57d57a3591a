package signature_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// accepted is the verdict of a delivery that is let through; the others are reasons.
const accepted = "accepted"

// A presetVector is a delivery of testdata/presets.json. One that refers to
// vectors.json has only what differs.
type presetVector struct {
	Preset, Name, Source string
	Published            string // the ID of a delivery of vectors.json
	Secret, Method, URL  string
	Headers              map[string]string
	Body                 string
	Now                  int64
	Verdict              string
}

func presetVectors(t testing.TB) []presetVector {
	t.Helper()
	var list []presetVector
	load(t, "presets.json", &list)
	published := make(map[string]vector)
	for _, v := range vectors(t).Vectors {
		published[v.ID] = v
	}
	for i := range list {
		v, p := &list[i], published[list[i].Published]
		if v.Published == "" {
			continue
		}
		if p.ID == "" {
			t.Fatalf("%s refers to %q, which does not exist", v.Preset, v.Published)
		}
		if v.Secret == "" {
			v.Secret = p.Secret
		}
		v.URL, v.Headers, v.Body, v.Now = p.URL, p.Headers, p.Body, p.Now
	}
	return list
}

// judge runs one delivery through a scheme, and returns its verdict.
func judge(v *signature.Verifier, d *signature.Delivery, body string) string {
	check, err := v.Begin(d)
	if err == nil {
		io.WriteString(check, body)
		_, err = check.End(held(body))
	}
	if err == nil {
		return accepted
	}
	return err.Error()
}

func headerFields(headers map[string]string) http.Header {
	fields := http.Header{}
	for name, value := range headers {
		fields.Set(name, value)
	}
	return fields
}

func compiled(t testing.TB, s signature.Scheme, secret string) *signature.Verifier {
	t.Helper()
	v, err := signature.New(s, []signature.Secret{{Name: "a", Text: secret}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Every preset has deliveries that it accepts and that it refuses, and every
// delivery has a preset.
func TestPresets(t *testing.T) {
	verdicts := make(map[string]map[bool]int)
	for _, p := range signature.Presets() {
		if verdicts[p.Name] != nil {
			t.Errorf("%s stands twice in the table", p.Name)
		}
		verdicts[p.Name] = make(map[bool]int)
	}
	for _, v := range presetVectors(t) {
		p, ok := signature.FindPreset(v.Preset)
		if !ok {
			t.Errorf("no preset %q for %q", v.Preset, v.Name)
			continue
		}
		verdicts[p.Name][v.Verdict == accepted]++
		d := &signature.Delivery{Header: headerFields(v.Headers), Method: v.Method, URL: v.URL, Now: time.Unix(v.Now, 0)}
		if got := judge(compiled(t, p.Scheme, v.Secret), d, v.Body); got != v.Verdict {
			t.Errorf("%s, %s: %s, want %s (%s)", v.Preset, v.Name, got, v.Verdict, v.Source)
		}
		if v.Source == "" {
			t.Errorf("%s, %s: no source", v.Preset, v.Name)
		}
	}
	for name, count := range verdicts {
		if count[true] == 0 || count[false] < 3 {
			t.Errorf("%s: %d accepted and %d refused deliveries", name, count[true], count[false])
		}
	}
}

// A preset that dates deliveries has one that is too late and one that is too
// early, and one whose time was changed afterwards.
func TestPresetsWithATime(t *testing.T) {
	names := make(map[string]bool)
	for _, v := range presetVectors(t) {
		names[v.Preset+", "+v.Name] = true
	}
	for _, p := range signature.Presets() {
		dated := p.Scheme.Timestamp != "" || strings.Contains(p.Scheme.Signature, "{ts}")
		for _, name := range []string{"just in time", "too late", "from the future", "another time than the signed one"} {
			if names[p.Name+", "+name] != dated {
				t.Errorf("%s: there is a delivery %q: %v", p.Name, name, !dated)
			}
		}
	}
}

func TestPresetVectorsAreComputed(t *testing.T) { computed(t, "presets") }

// computed compares a file of vectors with what its script prints, which knows nothing of
// the presets.
func computed(t *testing.T, name string) {
	t.Helper()
	cmd := exec.Command(tools.Need(t, "node"), "testdata/"+name+".mjs")
	cmd.Stderr = os.Stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s.json is not what %s.mjs prints", name, name)
	}
}

// writable reports a name that nobody could write in a Caddyfile.
func writable(t *testing.T, name string) {
	t.Helper()
	if name != strings.ToLower(name) || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		t.Errorf("%q is not a word to write in a Caddyfile", name)
	}
}

func TestPresetNames(t *testing.T) {
	for _, p := range signature.Presets() {
		if found, ok := signature.FindPreset(p.Name); !ok || found.Name != p.Name {
			t.Errorf("%s is not found", p.Name)
		}
		writable(t, p.Name)
		if p.Challenge == "" {
			continue
		}
		c, err := signature.NewChallenge(p.Challenge, nil)
		if err != nil || c.Method() != "" {
			t.Errorf("%s: %v; a challenge that is answered unasked is a signed body", p.Name, err)
		}
	}
	if _, ok := signature.FindPreset("no such sender"); ok {
		t.Error("a preset that does not exist was found")
	}
}

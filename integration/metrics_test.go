package integration_test

import (
	"bufio"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// admin asks the gateway's admin API, which listens on a socket in the gateway's folder.
func (g *gateway) admin(t *testing.T, path string) string {
	t.Helper()
	client := newClient(overSocket(filepath.Join(g.dir, "admin.sock")))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
	}
	return string(body)
}

// metrics returns the product's series, without their prefix.
func (g *gateway) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	series := make(map[string]float64)
	for lines := bufio.NewScanner(strings.NewReader(g.admin(t, "/metrics"))); lines.Scan(); {
		line, ok := strings.CutPrefix(lines.Text(), "caddy_webhook_auth_")
		if !ok {
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		series[name] = number
	}
	return series
}

// inFile has the secret in the file of that name in the gateway's folder.
func inFile(gate string) string {
	return strings.Replace(gate, "{env.WEBHOOK_SECRET}", "{file.{$HOME}/secret}", 1)
}

// TestMetricsAcrossReload: a scrape shows every metric before and after a reload. A gate
// and a secret that the reload removed are gone.
func TestMetricsAcrossReload(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	other := "\thandle /other {\n" + inFile(gate(a, "name other", "replay 24h")) + "\t}\n\trespond 404\n" // so that every metric is there
	g := newGateway(t, "OLD_SECRET="+otherSecret)
	writeFile(t, filepath.Join(g.dir, "secret"), "of-another-gate-"+testSecret)
	g.write(t, strings.Replace(canonical(a, "name billing", "secret old {env.OLD_SECRET}"), "\trespond 404\n", other, 1))
	g.start(t)
	g.accepts(t, a, authentic(chatBotKit))
	g.accepts(t, a, authentic(chatBotKit))
	g.accepts(t, a, post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))))
	g.refused(t, a, post(chatBotKit), 401, "missing_signature")
	g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch")
	want := map[string]float64{
		`deliveries_total{name="billing",reason="",result="accepted"}`:                  3,
		`deliveries_total{name="billing",reason="missing_signature",result="refused"}`:  1,
		`deliveries_total{name="billing",reason="signature_mismatch",result="refused"}`: 1,
		`deliveries_total{name="billing",reason="body_too_large",result="refused"}`:     0,
		`secret_uses_total{name="billing",secret="1"}`:                                  2,
		`secret_uses_total{name="billing",secret="old"}`:                                1,
		`app_answers_total{class="2xx",name="billing"}`:                                 3,
		`app_answers_total{class="5xx",name="billing"}`:                                 0,
		`app_answers_total{class="none",name="billing"}`:                                0,
		`app_duration_seconds_count{name="billing"}`:                                    3,
		`verify_duration_seconds_count{name="billing"}`:                                 5,
		`body_bytes_count{name="billing"}`:                                              4,
		`body_bytes_sum{name="billing"}`:                                                float64(4 * len(chatBotKit)),
		`observe_only{name="billing"}`:                                                  0,
		`diagnoses_total{diagnosis="skipped",name="billing"}`:                           0,
		`deliveries_total{name="other",reason="duplicate",result="accepted"}`:           0,
		`buffered_bytes{where="memory"}`:                                                0,
		`buffered_bytes{where="disk"}`:                                                  0,
	}
	compare(t, g.metrics(t), want)

	g.log.wait(t, "the diagnosis", message("delivery diagnosed"))
	if names := metricsOf(g.admin(t, "/metrics")); !slices.Equal(names, slices.Sorted(slices.Values(metricNames))) {
		t.Errorf("metrics %q, want %q", names, metricNames)
	}

	g.write(t, canonical(a, "name billing"))
	g.load(t)
	g.settle(t, a, func() delivery { return post(chatBotKit, signedWith(otherSecret, []byte(chatBotKit))) }, http.StatusUnauthorized)
	before := g.metrics(t)
	g.accepts(t, a, authentic(chatBotKit))
	after := g.metrics(t)
	const accepted = `deliveries_total{name="billing",reason="",result="accepted"}`
	if before[accepted] < 3 || after[accepted] != before[accepted]+1 {
		t.Errorf("accepted %v and then %v: the count does not go on", before[accepted], after[accepted])
	}
	if last := after[`last_accepted_timestamp_seconds{name="billing"}`]; last < 1.7e9 {
		t.Errorf("last accepted at %v", last)
	}
	if _, ok := after[`secret_uses_total{name="billing",secret="old"}`]; ok {
		t.Error("a removed secret is still counted")
	}

	g.write(t, canonical(a, "name shipping"))
	g.load(t)
	for name := range g.metrics(t) {
		if strings.Contains(name, "billing") {
			t.Errorf("%s is still there", name)
		}
	}
}

// metricsOf returns the names of the product's metrics, sorted.
func metricsOf(scrape string) (names []string) {
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (caddy_webhook_auth_\w+) `).FindAllStringSubmatch(scrape, -1) {
		names = append(names, match[1])
	}
	slices.Sort(names)
	return names
}

func compare(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if n, ok := got[name]; !ok || n != value {
			t.Errorf("%s is %v (%v), want %v", name, n, ok, value)
		}
	}
}

// TestObservedMetrics: unsafe_observe_only counts what would have been refused.
func TestObservedMetrics(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "unsafe_observe_only"))
	g.accepts(t, a, post(chatBotKit, forgedField))
	g.accepts(t, a, authentic(chatBotKit))
	compare(t, g.metrics(t), map[string]float64{
		`deliveries_total{name="hub",reason="signature_mismatch",result="observed"}`: 1,
		`deliveries_total{name="hub",reason="signature_mismatch",result="refused"}`:  0,
		`deliveries_total{name="hub",reason="",result="accepted"}`:                   1,
	})
	if line := g.log.wait(t, "the line", message("delivery observed")); line.text("reason") != "signature_mismatch" || line.text("error_id") == "" {
		t.Errorf("logged %v", line)
	}
}

// TestChallengeMetrics: an answered challenge is neither accepted nor refused.
func TestChallengeMetrics(t *testing.T) {
	t.Parallel()
	a := startApp(t)
	g := startGateway(t, canonical(a, "challenge hub t0ken-0f-mine"))
	d := delivery{id: fresh(), method: http.MethodGet, target: "/webhook?hub.mode=subscribe&hub.challenge=123&hub.verify_token=t0ken-0f-mine"}
	if resp := g.deliver(t, d); resp.status != 200 || resp.body != "123" {
		t.Fatalf("answer %d %q", resp.status, resp.body)
	}
	compare(t, g.metrics(t), map[string]float64{
		`deliveries_total{name="hub",reason="",result="challenge"}`: 1,
		`deliveries_total{name="hub",reason="",result="accepted"}`:  0,
	})
}

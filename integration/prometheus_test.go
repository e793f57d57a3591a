package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// A prometheus is a real one that scrapes a gateway.
type prometheus struct{ url string }

// startPrometheus scrapes an address each second.
func startPrometheus(t *testing.T, target string) *prometheus {
	t.Helper()
	binary, dir := needs(t, "prometheus"), t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	writeFile(t, file, "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: caddy\n  static_configs: [{targets: ['"+target+"']}]\n")
	address := fmt.Sprintf("127.0.0.1:%d", tools.FreePort(t))
	cmd := command(t, binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has nothing to save
		_ = cmd.Wait()
	})
	return &prometheus{"http://" + address}
}

// query returns how many series a query finds now.
func (p *prometheus) query(t *testing.T, query string) (int, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err // it has not started yet
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != "" {
		return 0, fmt.Errorf("%s: %s %w", query, answer.Error, err)
	}
	return len(answer.Data.Result), nil
}

// finds waits until a query finds something.
func (p *prometheus) finds(t *testing.T, what, query string) {
	t.Helper()
	await(t, what, func() (any, bool) {
		found, err := p.query(t, query)
		return err, found > 0
	})
}

// TestDashboardOnARealScrape: with a real Prometheus that scrapes a real gateway, each panel
// and variable of the dashboard shows something.
func TestDashboardOnARealScrape(t *testing.T) {
	t.Parallel()
	needs(t, "prometheus")
	a, port := startApp(t), tools.FreePort(t)
	g := newGateway(t)
	writeFile(t, filepath.Join(g.dir, "secret"), testSecret)
	g.write(t, fmt.Sprintf("http://127.0.0.1:%d {\n\tmetrics\n}\n", port)+strings.Replace(inFile(canonical(a, "name hub", "replay 1h", "challenge dropbox")),
		"respond 404", "handle /observed {\n"+gate(a, "unsafe_observe_only", "name observing")+"}\nrespond 404", 1))
	g.start(t)
	p := startPrometheus(t, fmt.Sprintf("127.0.0.1:%d", port))
	p.finds(t, "the first scrape", `count_over_time(caddy_webhook_auth_deliveries_total[1m]) >= 2`)
	first := authentic(chatBotKit)
	g.accepts(t, a, first)
	if again := g.deliver(t, authentic(chatBotKit)); again.status != http.StatusOK || again.header.Get("Webhook-Auth-Duplicate") == "" {
		t.Errorf("a repetition got %d", again.status)
	}
	g.refused(t, a, post(chatBotKit, forgedField), 401, "signature_mismatch")
	seen := post(chatBotKit, forgedField).with(http.MethodPost, "/observed")
	answered(t, g.deliver(t, seen))
	delivered(t, a, seen)
	p.finds(t, "the traffic", `caddy_webhook_auth_deliveries_total{name="observing", result="observed", reason="signature_mismatch"} > 0`)
	p.finds(t, "the diagnosis", `sum(caddy_webhook_auth_diagnoses_total) > 0`)
	for where, query := range dashboardQueries(t) {
		p.finds(t, where, query)
	}
}

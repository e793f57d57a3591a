package integration_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// metricNames are the metrics that the dashboard and the alert rules may use.
// TestMetricsAcrossReload compares the list with a running Caddy, so that a renamed metric
// cannot leave an empty panel or a rule that never fires.
var metricNames = []string{
	"caddy_webhook_auth_deliveries_total",
	"caddy_webhook_auth_secret_uses_total",
	"caddy_webhook_auth_last_accepted_timestamp_seconds",
	"caddy_webhook_auth_verify_duration_seconds",
	"caddy_webhook_auth_body_bytes",
	"caddy_webhook_auth_buffered_bytes",
	"caddy_webhook_auth_diagnoses_total",
	"caddy_webhook_auth_app_answers_total",
	"caddy_webhook_auth_app_duration_seconds",
	"caddy_webhook_auth_app_last_success_timestamp_seconds",
	"caddy_webhook_auth_observe_only",
	"caddy_webhook_auth_secrets_loaded_timestamp_seconds",
	"caddy_webhook_auth_secrets_checked_timestamp_seconds",
	"caddy_webhook_auth_secrets_failures_total",
	"caddy_webhook_auth_replay_evictions_total",
}

// monitored is every metric of a gateway, with its labels, as a Prometheus that scrapes
// once a minute has it after 20 minutes.
const monitored = `
caddy_webhook_auth_deliveries_total{name="hub",result="accepted",reason=""}
caddy_webhook_auth_deliveries_total{name="hub",result="challenge",reason=""}
caddy_webhook_auth_deliveries_total{name="hub",result="refused",reason="signature_mismatch"}
caddy_webhook_auth_deliveries_total{name="hub",result="refused",reason="overloaded"}
caddy_webhook_auth_deliveries_total{name="hub",result="observed",reason="signature_mismatch"}
caddy_webhook_auth_secret_uses_total{name="hub",secret="2026-11"}
caddy_webhook_auth_last_accepted_timestamp_seconds{name="hub"}
caddy_webhook_auth_deliveries_total{name="hub",result="refused",reason="duplicate"}
caddy_webhook_auth_observe_only{name="hub"}
caddy_webhook_auth_secrets_loaded_timestamp_seconds{name="hub"}
caddy_webhook_auth_secrets_checked_timestamp_seconds{name="hub"}
caddy_webhook_auth_secrets_failures_total{name="hub"}
caddy_webhook_auth_replay_evictions_total
caddy_webhook_auth_verify_duration_seconds_bucket{name="hub",le="0.1"}
caddy_webhook_auth_verify_duration_seconds_bucket{name="hub",le="+Inf"}
caddy_webhook_auth_body_bytes_bucket{name="hub",le="1024"}
caddy_webhook_auth_body_bytes_bucket{name="hub",le="+Inf"}
caddy_webhook_auth_buffered_bytes{where="memory"}
caddy_webhook_auth_buffered_bytes{where="disk"}
caddy_webhook_auth_diagnoses_total{name="hub",diagnosis="unknown"}
caddy_webhook_auth_app_answers_total{name="hub",class="2xx"}
caddy_webhook_auth_app_answers_total{name="hub",class="5xx"}
caddy_webhook_auth_app_duration_seconds_bucket{name="hub",le="0.1"}
caddy_webhook_auth_app_duration_seconds_bucket{name="hub",le="+Inf"}
caddy_webhook_auth_app_last_success_timestamp_seconds{name="hub"}`

var monitoring = filepath.Join("..", "deploy", "monitoring")

// grafana's variables have the values that a user sees first: everything selected.
var grafana = strings.NewReplacer(
	"$job", ".*", "$instance", ".*", "$name", ".*",
	"$__rate_interval", "5m", "$__range", "10m")

// TestAlertRules: the rules load, and fire when they should.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool := needs(t, "promtool")
	t.Run("check", func(t *testing.T) {
		t.Parallel()
		run(t, command(t, promtool, "check", "rules", filepath.Join(monitoring, "alerts.yml")))
	})
	tests := glob(t, filepath.Join(monitoring, "*_test.yml"))
	for _, file := range tests {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			run(t, command(t, promtool, "test", "rules", file))
		})
	}
	for _, rule := range regexp.MustCompile(`(?m)- alert: (\w+)$`).FindAllStringSubmatch(rules(t), -1) {
		if !slices.ContainsFunc(tests, func(file string) bool { return strings.Contains(string(readFile(t, file)), "alertname: "+rule[1]+"\n") }) {
			t.Errorf("no test says when %s fires and what it says", rule[1])
		}
	}
}

// TestAlertsNameARunbook: each alert names a page and a section that exist, for the
// person who is woken at night.
func TestAlertsNameARunbook(t *testing.T) {
	t.Parallel()
	text := rules(t)
	runbooks := regexp.MustCompile(`runbook: '(docs/\w+\.md), "([^"]+)": `).FindAllStringSubmatch(text, -1)
	if alerts := strings.Count(text, "- alert: "); alerts == 0 || len(runbooks) != alerts {
		t.Errorf("%d alerts, and %d of them name a section", alerts, len(runbooks))
	}
	for _, runbook := range runbooks {
		anchor := strings.ReplaceAll(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(runbook[2]), ""), " ", "-")
		if link := "runbook_url: https://github.com/webhookauth/caddy-webhook-auth/blob/main/" + runbook[1] + "#" + anchor + "\n"; !strings.Contains(text, link) {
			t.Errorf("no alert has %s", link)
		}
		page := string(readFile(t, filepath.Join(repository, runbook[1])))
		if !regexp.MustCompile(`(?m)^###? ` + regexp.QuoteMeta(runbook[2]) + `$`).MatchString(page) {
			t.Errorf("%s has no section %q", runbook[1], runbook[2])
		}
	}
}

// TestMonitoringMetrics: dashboard and rules use only metrics that exist, and the
// dashboard uses all of them.
func TestMonitoringMetrics(t *testing.T) {
	t.Parallel()
	dashboard := string(readFile(t, filepath.Join(monitoring, "dashboard.json")))
	shown := make(map[string]bool)
	for _, word := range regexp.MustCompile(`\bcaddy_webhook_auth_\w+`).FindAllString(dashboard+rules(t)+monitored, -1) {
		name := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(word, "")
		if !slices.Contains(metricNames, name) {
			t.Errorf("unknown metric %s", word)
		}
		shown[name] = shown[name] || strings.Contains(dashboard, name)
	}
	for _, name := range metricNames {
		if !shown[name] || !strings.Contains(monitored, name) {
			t.Errorf("no panel shows %s, or monitored lacks a series of it", name)
		}
	}
}

// A dashboard is the part of Grafana's model that a query depends on.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	ID            *int // Grafana assigns it; a file that has one cannot be imported
	Templating    struct {
		List []struct {
			Name, Type, Definition string
			Query                  any
			Datasource             struct{ Type, UID string }
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ Type, UID string }
	Targets     []struct {
		Expr, RefID, LegendFormat string
		Datasource                struct{ Type, UID string }
	}
}

func loadDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, filepath.Join(monitoring, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboardImports: the dashboard asks for a data source, no panel hides another, and
// no panel is bound to its author's Prometheus.
func TestDashboardImports(t *testing.T) {
	t.Parallel()
	d := loadDashboard(t)
	if d.ID != nil || d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Panels) == 0 {
		t.Errorf("the dashboard cannot be imported: %+v", d)
	}
	if first := d.Templating.List[0]; first.Name != "datasource" || first.Type != "datasource" || first.Query != "prometheus" {
		t.Errorf("the first variable is not the data source: %+v", first)
	}
	for _, variable := range d.Templating.List[1:] {
		if variable.Datasource.UID != "${datasource}" {
			t.Errorf("variable %s has another data source", variable.Name)
		}
	}
	taken := make(map[[2]int]string)
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q has no unique id and title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies on %q or outside", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q has no query, or not the selected data source", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" {
				t.Errorf("panel %q: query %s has another data source", p.Title, target.RefID)
			}
		}
	}
}

// TestDashboardQueries: every query is valid PromQL and finds series of a gateway. With a
// label or a value that does not exist, a panel would stay empty for ever.
func TestDashboardQueries(t *testing.T) {
	t.Parallel()
	promtool := needs(t, "promtool")
	series := make([]any, 0, len(metricNames))
	for _, line := range strings.Split(strings.TrimSpace(monitored), "\n") {
		if !strings.Contains(line, "{") {
			line += "{}"
		}
		line = strings.Replace(line, "{", `{job="caddy",instance="a",`, 1)
		series = append(series, map[string]string{"series": line, "values": "0+60x20"})
	}
	var cases []any
	for where, query := range dashboardQueries(t) {
		if strings.Contains(query, "$") {
			t.Errorf("%s: unknown variable in %s", where, query)
		}
		cases = append(cases, map[string]any{
			"expr": fmt.Sprintf("group(%s)", query), "eval_time": "20m",
			"exp_samples": []any{map[string]any{"labels": "{}", "value": 1}},
		})
	}
	if len(cases) < len(metricNames) {
		t.Fatalf("only %d queries", len(cases))
	}
	file := writeJSON(t, map[string]any{"tests": []any{map[string]any{
		"interval": "1m", "input_series": series, "promql_expr_test": cases,
	}}})
	run(t, command(t, promtool, "test", "rules", file))
}

// TestDashboardLabels: queries group by labels that the metrics have, and legends show
// them. PromQL ignores a missing label in silence.
func TestDashboardLabels(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"job": true, "instance": true} // those that Prometheus adds
	for _, match := range regexp.MustCompile(`[{,](\w+)=`).FindAllStringSubmatch(monitored, -1) {
		known[match[1]] = true
	}
	grouping := regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	legend := regexp.MustCompile(`{{(\w+)}}`)
	for _, p := range loadDashboard(t).Panels {
		for _, target := range p.Targets {
			var grouped []string
			for _, match := range grouping.FindAllStringSubmatch(target.Expr, -1) {
				grouped = append(grouped, strings.Split(match[1], ", ")...)
			}
			for _, label := range grouped {
				if !known[label] {
					t.Errorf("panel %q: no metric has the label %q: %s", p.Title, label, target.Expr)
				}
			}
			for _, match := range legend.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !slices.Contains(grouped, match[1]) {
					t.Errorf("panel %q: the legend %q shows a label that %s does not return", p.Title, target.LegendFormat, target.Expr)
				}
			}
		}
	}
}

// dashboardQueries returns the queries of panels and variables, by their place, with
// Grafana's variables replaced.
func dashboardQueries(t *testing.T) map[string]string {
	t.Helper()
	d := loadDashboard(t)
	queries := make(map[string]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries[fmt.Sprintf("panel %q, %s", p.Title, target.RefID)] = grafana.Replace(target.Expr)
		}
	}
	values := regexp.MustCompile(`^label_values\((.+), \w+\)$`)
	for _, variable := range d.Templating.List[1:] {
		match := values.FindStringSubmatch(variable.Definition)
		if match == nil {
			t.Fatalf("variable %s: %q", variable.Name, variable.Definition)
		}
		queries["variable "+variable.Name] = grafana.Replace(match[1])
	}
	return queries
}

func rules(t *testing.T) string {
	t.Helper()
	return string(readFile(t, filepath.Join(monitoring, "alerts.yml")))
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s (%v)", pattern, err)
	}
	return files
}

// writeJSON writes a file for a tool that reads YAML, which includes JSON.
func writeJSON(t *testing.T, value any) (path string) {
	t.Helper()
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "test.yml")
	writeFile(t, path, string(data))
	return path
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(cmd.Args[1:], " "), err, output)
	}
}

package caddymodule

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
)

// gateStates is every gate of the configuration, with what it did. Gates of one name share
// their counts, as in the metrics.
func (a *App) gateStates() ([]adminapi.Gate, error) {
	counts, err := gatherCounts()
	if err != nil {
		return nil, err
	}
	urls := a.gateURLs()
	gates := make([]adminapi.Gate, 0, len(a.handlers))
	for _, h := range a.handlers {
		gate := h.state(counts)
		gate.URLs = urls[h]
		gates = append(gates, gate)
	}
	for _, f := range findings(a, nil) {
		for i := range gates {
			if gates[i].Name == f.Gate {
				gates[i].Findings = append(gates[i].Findings, adminapi.Finding{
					Kind: string(f.Kind), Severity: string(f.Severity), Problem: f.Problem, Cure: f.Cure,
				})
			}
		}
	}
	slices.SortStableFunc(gates, func(a, b adminapi.Gate) int { return strings.Compare(a.Name, b.Name) })
	return gates, nil
}

// gateURLs is where the gates listen.
func (a *App) gateURLs() map[*Handler][]string {
	urls := make(map[*Handler][]string)
	if a.handlers == nil {
		return urls // also before any configuration was loaded
	}
	if app, err := a.ctx.AppIfConfigured("http"); err == nil {
		for _, gate := range allGates(app.(*caddyhttp.App)) {
			urls[gate.handler] = gate.urls
		}
	}
	return urls
}

func (h *Handler) state(counts counts) adminapi.Gate {
	gate := adminapi.Gate{
		Name: h.Name, Preset: h.Preset, Kind: h.kind().String(), Mode: "enforce", OnRefusal: cmp.Or(h.OnRefusal, answerRefusals),
		Challenge:  h.material().challenge.Kind(),
		Deliveries: counts.of(deliveries, h.Name, "result"), Reasons: counts.of(deliveries, h.Name, "reason"), App: counts.of(appAnswers, h.Name, "class"),
		LastAccepted: counts.at(lastAccepted, h.Name), AppLastSuccess: counts.at(lastSuccess, h.Name),
	}
	if h.UnsafeObserveOnly {
		gate.Mode = "observe"
	}
	if h.Replay != nil {
		gate.Replay = time.Duration(h.Replay.Window).String()
	}
	if h.Tenants != nil {
		gate.Tenants = h.Tenants.Folder
	}
	if gate.Files = h.files.state(); gate.Files != nil && gate.Files.Problem != "" {
		gate.Findings = append(gate.Findings, adminapi.Finding{
			Kind: "secrets_unusable", Severity: "error",
			Problem: "secrets changed and cannot be used; the old ones are still in force: " + gate.Files.Problem,
			Cure:    "correct the file; the gate takes it by itself",
		})
	}
	delete(gate.Reasons, "")
	uses := counts.of(secretUses, h.Name, "secret")
	for _, name := range h.material().labels {
		gate.Keys = append(gate.Keys, adminapi.Key{Name: name, Uses: uses[name], LastUsed: h.meter.lastUsed(name)})
	}
	return gate
}

// counts is what the collectors hold, by collector, gate and label.
type counts map[prometheus.Collector][]count

type count struct {
	labels map[string]string
	value  float64
}

// gatherCounts asks the metrics, so that there is one place that counts.
func gatherCounts() (counts, error) {
	all := make(counts)
	for _, c := range []prometheus.Collector{deliveries, secretUses, appAnswers, lastAccepted, lastSuccess} {
		registry := prometheus.NewRegistry()
		if err := registry.Register(c); err != nil {
			return nil, err
		}
		families, err := registry.Gather()
		if err != nil {
			return nil, err
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				one := count{make(map[string]string), metric.GetCounter().GetValue() + metric.GetGauge().GetValue()}
				for _, label := range metric.GetLabel() {
					one.labels[label.GetName()] = label.GetValue()
				}
				all[c] = append(all[c], one)
			}
		}
	}
	return all, nil
}

// of sums what a collector holds of a gate, by one of its labels, without what never
// happened.
func (c counts) of(collector prometheus.Collector, gate, label string) map[string]int64 {
	sums := make(map[string]int64)
	for _, one := range c[collector] {
		if one.labels["name"] == gate && one.value > 0 {
			sums[one.labels[label]] += int64(one.value)
		}
	}
	return sums
}

// at is the time that a collector holds of a gate.
func (c counts) at(collector prometheus.Collector, gate string) *time.Time {
	for _, one := range c[collector] {
		if one.labels["name"] == gate && one.value > 0 {
			seconds, rest := math.Modf(one.value)
			t := time.Unix(int64(seconds), int64(rest*1e9)).UTC()
			return &t
		}
	}
	return nil
}

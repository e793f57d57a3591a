package caddymodule

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// scrape returns the series of one gate with their values, and the ones without
// a gate. A pedantic registry also checks that the collectors keep to what they
// describe.
func scrape(t *testing.T, gate string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	for range 2 { // two gates of one configuration
		if err := registerMetrics(registry); err != nil {
			t.Fatal(err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			mine := true
			for _, l := range m.GetLabel() {
				if l.GetName() == "name" {
					mine = l.GetValue() == gate
					continue
				}
				labels = append(labels, l.GetValue())
			}
			if mine {
				name := strings.TrimPrefix(family.GetName(), "caddy_webhook_auth_") + " " + strings.Join(labels, " ")
				series[strings.TrimSpace(name)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return series
}

// gone ends a gate as the end of its configuration does.
func gone(t *testing.T, h *Handler) {
	t.Helper()
	if err := h.Cleanup(); err != nil {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	h, _ := provisioned(t, &Handler{Name: "counted", Secrets: []Secret{{Name: "new", Value: testSecret}, {Name: "old", Value: "another secret, 16+"}}})
	t.Cleanup(func() { gone(t, h) })
	before := scrape(t, "counted")
	if _, ok := before["last_accepted_timestamp_seconds"]; ok {
		t.Error("there is a time before the first delivery")
	}
	serve(h, newRecorder(), signed(delivery), new(spy))
	refuseForged(h, 3, delivery)
	h.UnsafeObserveOnly = true
	refuseForged(h, 1, delivery)

	after := scrape(t, "counted")
	for name, want := range map[string]float64{
		"deliveries_total  accepted":                  1,
		"deliveries_total signature_mismatch refused": 3, "deliveries_total signature_mismatch observed": 1,
		"secret_uses_total new": 1, "secret_uses_total old": 0,
		"verify_duration_seconds": 5, "body_bytes": 5,
		"buffered_bytes memory": 0, "buffered_bytes disk": 0,
	} {
		value, ok := after[name]
		if !ok || value-before[name] != want {
			t.Errorf("%s grew by %v (%v), want %v", name, value-before[name], ok, want)
		}
	}
	if last := time.Unix(int64(after["last_accepted_timestamp_seconds"]), 0); time.Since(last) > time.Minute {
		t.Errorf("last accepted at %v", last)
	}
	for _, reason := range refusal.All() { // a rate needs a first value
		if _, ok := before["deliveries_total "+string(reason)+" refused"]; !ok {
			t.Errorf("no series for %s", reason)
		}
	}
}

// Counts go on while a gate of the name is configured, and are gone with the last
// one; so are those of a secret that was taken out.
func TestMetricsFollowTheConfiguration(t *testing.T) {
	both := []Secret{{Name: "new", Value: testSecret}, {Name: "old", Value: "another secret, 16+"}}
	first, _ := provisioned(t, &Handler{Name: "reloaded", Secrets: both})
	serve(first, newRecorder(), signed(delivery), new(spy))
	second, _ := provisioned(t, &Handler{Name: "reloaded", Secrets: both[:1]})
	gone(t, first)
	serve(second, newRecorder(), signed(delivery), new(spy))
	series := scrape(t, "reloaded")
	if n := series["secret_uses_total new"]; n != 2 {
		t.Errorf("after a reload the secret was used %v times, want 2", n)
	}
	if _, ok := series["secret_uses_total old"]; ok {
		t.Error("a secret that no configuration has is still there")
	}
	gone(t, second)
	refuseForged(second, 1, delivery) // what came before the end, and is judged after it
	second.meter.diagnose("unknown")
	second.meter.challenge()
	serve(second, newRecorder(), signed(delivery), new(spy))
	for name := range scrape(t, "reloaded") {
		if !strings.HasPrefix(name, "buffered_bytes") {
			t.Errorf("%s is still there", name)
		}
	}
}

// Everything that a gate can do has a series at zero, so that the first of its kind shows.
func TestMetricsBeginAtZero(t *testing.T) {
	h, _ := provisioned(t, &Handler{
		Name: "zero", Secrets: []Secret{{Value: testSecret}}, UnsafeObserveOnly: true,
		Challenge: &Challenge{Kind: "dropbox"}, Replay: &Replay{Window: caddy.Duration(time.Hour)},
	})
	t.Cleanup(func() { gone(t, h) })
	series := scrape(t, "zero")
	for _, name := range []string{
		"deliveries_total  challenge", "deliveries_total signature_mismatch observed", "deliveries_total duplicate refused",
		"deliveries_total replay_unavailable accepted", "diagnoses_total skipped", "diagnoses_total unknown",
	} {
		if value, ok := series[name]; !ok || value != 0 {
			t.Errorf("%s: %v, there %v", name, value, ok)
		}
	}
}

// A gate that does not load leaves nothing behind.
func TestMetricsOfAGateThatDoesNotLoad(t *testing.T) {
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{Name: "broken", Secrets: []Secret{{Value: "short"}}}
	if err := h.Provision(ctx); err == nil {
		t.Fatal("it loads")
	}
	gone(t, h)
	if series := scrape(t, "broken"); len(series) != 2 { // those of the process
		t.Errorf("there are %v", slices.Sorted(maps.Keys(series)))
	}
}

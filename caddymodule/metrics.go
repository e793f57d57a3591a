package caddymodule

import (
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// What became of a delivery: the label result.
const (
	resultAccepted  = "accepted"
	resultRefused   = "refused"
	resultObserved  = "observed"
	resultChallenge = "challenge"
)

// The collectors belong to the process, because each configuration has a registry
// of its own and a counter must not begin anew at a reload. Labels come from closed
// sets and from the configuration, never from a request.
var (
	deliveries = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhook_auth_deliveries_total",
		Help: "Requests by gate, result and, where refused or observed, the reason.",
	}, []string{"name", "result", "reason"})
	secretUses = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhook_auth_secret_uses_total",
		Help: "Accepted deliveries by gate and the name of the secret that they were signed with.",
	}, []string{"name", "secret"})
	lastAccepted = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "caddy_webhook_auth_last_accepted_timestamp_seconds",
		Help: "When the gate last accepted a delivery, in seconds since 1970.",
	}, []string{"name"})
	verifyDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "caddy_webhook_auth_verify_duration_seconds",
		Help:    "Time from the header section to the verdict, receiving the body included.",
		Buckets: prometheus.ExponentialBuckets(0.000_025, 4, 12), // 25 µs to 105 s
	})
	bodyBytes = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "caddy_webhook_auth_body_bytes",
		Help:    "Size of bodies that were received whole and judged.",
		Buckets: prometheus.ExponentialBuckets(256, 4, 10), // 256 B to 64 MiB
	})
	diagnoses = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhook_auth_diagnoses_total",
		Help: "What was found out about signatures that did not match.",
	}, []string{"name", "diagnosis"})
	collectors = []prometheus.Collector{
		deliveries, secretUses, lastAccepted, verifyDuration, bodyBytes, diagnoses,
		buffered("memory", budget.Memory.Used), buffered("disk", budget.Disk.Used),
	}
)

func buffered(where string, used func() int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "caddy_webhook_auth_buffered_bytes",
		Help:        "Bytes of bodies held now, by where.",
		ConstLabels: prometheus.Labels{"where": where},
	}, func() float64 { return float64(used()) })
}

// registerMetrics adds the collectors to the registry of one configuration. Every
// gate does; the first one counts.
func registerMetrics(registry *prometheus.Registry) error {
	for _, c := range collectors {
		err := registry.Register(c)
		if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !ok {
			return err
		}
	}
	return nil
}

// meters are kept as long as any configuration has such a gate or such a secret:
// counts go on across a reload, and what was taken out of the configuration is
// gone from the metrics. An alert on an unused secret would otherwise never end.
var meters = caddy.NewUsagePool()

// A gateMeter and a secretMeter are keys of meters; as values they take the series
// away when the last gate that uses them is gone.
type (
	gateMeter   struct{ name string }
	secretMeter struct{ name, secret string }
)

// Destruct implements caddy.Destructor.
func (m gateMeter) Destruct() error {
	series := prometheus.Labels{"name": m.name}
	deliveries.DeletePartialMatch(series)
	lastAccepted.DeletePartialMatch(series)
	diagnoses.DeletePartialMatch(series)
	return nil
}

// Destruct implements caddy.Destructor.
func (m secretMeter) Destruct() error {
	secretUses.DeleteLabelValues(m.name, m.secret)
	return nil
}

// A meter counts what one gate does.
type meter struct {
	name     string
	accepted prometheus.Counter
	last     func() prometheus.Gauge // no series before the first: 1970 would be a lie
	secrets  map[string]prometheus.Counter
}

// newMeter makes the series at zero, so that a rate over the first refusal is not
// missed.
func newMeter(name string, secrets []string) *meter {
	meters.LoadOrStore(gateMeter{name}, gateMeter{name})
	m := &meter{
		name:     name,
		accepted: deliveries.WithLabelValues(name, resultAccepted, ""),
		last:     sync.OnceValue(func() prometheus.Gauge { return lastAccepted.WithLabelValues(name) }),
		secrets:  make(map[string]prometheus.Counter),
	}
	for _, refusal := range signature.Refusals() {
		deliveries.WithLabelValues(name, resultRefused, string(refusal))
	}
	for _, secret := range secrets {
		meters.LoadOrStore(secretMeter{name, secret}, secretMeter{name, secret})
		m.secrets[secret] = secretUses.WithLabelValues(name, secret)
	}
	return m
}

// close gives the series back. A meter that was never made has none.
func (m *meter) close() {
	if m == nil {
		return
	}
	for secret := range m.secrets {
		_, _ = meters.Delete(secretMeter{m.name, secret}) // Destruct does not fail
	}
	_, _ = meters.Delete(gateMeter{m.name})
}

// judged counts a verdict: the time it took, and the size of a body that was
// received whole.
func (m *meter) judged(start time.Time, v *verdict) {
	verifyDuration.Observe(time.Since(start).Seconds())
	if v.whole() {
		bodyBytes.Observe(float64(v.body.Size()))
	}
}

func (m *meter) accept(v *verdict) {
	m.accepted.Inc()
	m.last().SetToCurrentTime()
	m.secrets[v.match.Secret].Inc()
}

// pass counts what is let through although the replay guard has a reason not to.
func (m *meter) pass(reason signature.Refusal, v *verdict) {
	deliveries.WithLabelValues(m.name, resultAccepted, string(reason)).Inc()
	m.last().SetToCurrentTime()
	m.secrets[v.match.Secret].Inc()
}

func (m *meter) refuse(result string, refusal signature.Refusal) {
	deliveries.WithLabelValues(m.name, result, string(refusal)).Inc()
}

func (m *meter) challenge() { deliveries.WithLabelValues(m.name, resultChallenge, "").Inc() }

func (m *meter) diagnose(d diagnosis.Diagnosis) {
	diagnoses.WithLabelValues(m.name, string(d)).Inc()
}

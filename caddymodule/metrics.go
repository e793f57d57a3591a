package caddymodule

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
)

// What became of a delivery: the label result.
const (
	resultAccepted  = "accepted"
	resultRefused   = "refused"
	resultObserved  = "observed"
	resultChallenge = "challenge"
)

// The collectors belong to the process: each configuration has a registry of its own, and
// a counter must not start again at a reload. Labels come from closed sets and from the
// configuration, never from a request.
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
	verifyDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "caddy_webhook_auth_verify_duration_seconds",
		Help:    "Time from the header section to the verdict, receiving the body included, by gate.",
		Buckets: prometheus.ExponentialBuckets(0.000_025, 4, 12), // 25 µs to 105 s
	}, []string{"name"})
	bodyBytes = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "caddy_webhook_auth_body_bytes",
		Help:    "Size of bodies that were received whole and judged, by gate.",
		Buckets: prometheus.ExponentialBuckets(256, 4, 10), // 256 B to 64 MiB
	}, []string{"name"})
	observing = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "caddy_webhook_auth_observe_only",
		Help: "1 if a gate of the running configuration has unsafe_observe_only and lets everything through, otherwise 0.",
	}, []string{"name"})
	appAnswers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhook_auth_app_answers_total",
		Help: "What the app answered to deliveries that were let through, by gate and class: 2xx to 5xx, timeout, none.",
	}, []string{"name", "class"})
	appDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "caddy_webhook_auth_app_duration_seconds",
		Help:    "Time that the app took to begin its answer, by gate.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9), // 1 ms to 65 s
	}, []string{"name"})
	lastSuccess = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "caddy_webhook_auth_app_last_success_timestamp_seconds",
		Help: "When the app last answered a delivery with 2xx, in seconds since 1970.",
	}, []string{"name"})
	diagnoses = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhook_auth_diagnoses_total",
		Help: "Mistakes that were found in refused requests and logged; skipped: mismatches that were not looked into.",
	}, []string{"name", "diagnosis"})
	secretFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_webhook_auth_secrets_failures_total",
		Help: "Changes of secrets in files that could not be used, by gate. What was in use before is still in force.",
	}, []string{"name"})
	collectors = []prometheus.Collector{
		secretFailures,
		filesCollector{},
		deliveries, secretUses, lastAccepted, verifyDuration, bodyBytes, diagnoses,
		appAnswers, appDuration, lastSuccess, observing,
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

// registerMetrics adds the collectors to the registry of one configuration. Every gate
// calls it, and only the first call has an effect.
func registerMetrics(registry *prometheus.Registry) error {
	for _, c := range collectors {
		err := registry.Register(c)
		if _, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !ok {
			return err
		}
	}
	return nil
}

// meters keep the series of a gate or a secret as long as any configuration has it.
// Counts go on across a reload, and what is removed from the configuration disappears
// from the metrics: an alert on an unused secret would otherwise never end.
var meters = caddy.NewUsagePool()

// gateSeries are the series of all gates of one name.
type gateSeries struct {
	name string
	mu   sync.RWMutex

	// Created on first use, so that neither ever reads 1970.
	last, lastSuccess func() prometheus.Gauge

	gone bool
}

func newGateSeries(name string) *gateSeries {
	lazily := func(vec *prometheus.GaugeVec) func() prometheus.Gauge {
		return sync.OnceValue(func() prometheus.Gauge { return vec.WithLabelValues(name) })
	}
	return &gateSeries{name: name, last: lazily(lastAccepted), lastSuccess: lazily(lastSuccess)}
}

// change runs do unless the series are gone. A request may outlive its configuration, and
// must not bring them back.
func (s *gateSeries) change(do func()) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.gone {
		do()
	}
}

// Destruct implements caddy.Destructor: the last gate of the name is gone.
func (s *gateSeries) Destruct() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	mine := prometheus.Labels{"name": s.name}
	deliveries.DeletePartialMatch(mine)
	lastAccepted.DeletePartialMatch(mine)
	diagnoses.DeletePartialMatch(mine)
	appAnswers.DeletePartialMatch(mine)
	appDuration.DeletePartialMatch(mine)
	lastSuccess.DeletePartialMatch(mine)
	verifyDuration.DeletePartialMatch(mine)
	bodyBytes.DeletePartialMatch(mine)
	secretFailures.DeletePartialMatch(mine)
	return nil
}

// secretSeries are the series of one secret of such gates, and when it was last used.
type secretSeries struct {
	key  secretKey
	last atomic.Int64 // nanoseconds since 1970; 0: never
}

type secretKey struct{ name, secret string }

// Destruct implements caddy.Destructor.
func (s *secretSeries) Destruct() error {
	secretUses.DeleteLabelValues(s.key.name, s.key.secret)
	return nil
}

// A secretMeter counts the deliveries of one secret.
type secretMeter struct {
	uses   prometheus.Counter
	series *secretSeries
}

// A meter counts what one gate does.
type meter struct {
	series   *gateSeries
	accepted prometheus.Counter
	secrets  map[string]secretMeter
	answers  map[answerClass]prometheus.Counter
	duration prometheus.Observer
	verdicts prometheus.Observer
	bodies   prometheus.Observer
}

// newMeter makes the series of all that can happen at zero, so that a rate over the first
// of its kind is not missed.
func newMeter(name string, secrets []string) *meter {
	series, _ := meters.LoadOrStore(name, newGateSeries(name))
	m := &meter{
		series:   series.(*gateSeries),
		accepted: deliveries.WithLabelValues(name, resultAccepted, ""),
		secrets:  make(map[string]secretMeter),
		answers:  make(map[answerClass]prometheus.Counter),
		duration: appDuration.WithLabelValues(name),
		verdicts: verifyDuration.WithLabelValues(name),
		bodies:   bodyBytes.WithLabelValues(name),
	}
	for _, class := range answerClasses {
		m.answers[class] = appAnswers.WithLabelValues(name, string(class))
	}
	for _, reason := range refusal.All() {
		deliveries.WithLabelValues(name, resultRefused, string(reason))
	}
	for _, secret := range secrets {
		key := secretKey{name, secret}
		series, _ := meters.LoadOrStore(key, &secretSeries{key: key})
		m.secrets[secret] = secretMeter{secretUses.WithLabelValues(name, secret), series.(*secretSeries)}
	}
	return m
}

// expect makes the series at zero of what only some gates can do.
func (m *meter) expect(h *Handler) {
	name := m.series.name
	if h.files != nil || h.Tenants != nil {
		secretFailures.WithLabelValues(name)
	}
	if h.material().challenge != nil {
		deliveries.WithLabelValues(name, resultChallenge, "")
	}
	for _, reason := range refusal.All() {
		if h.UnsafeObserveOnly {
			deliveries.WithLabelValues(name, resultObserved, string(reason))
		}
	}
	if h.Replay != nil {
		for _, reason := range []refusal.Reason{refusal.Duplicate, refusal.ReplayUnavailable} {
			deliveries.WithLabelValues(name, resultAccepted, string(reason))
		}
	}
	if h.Diagnose != "off" {
		for _, d := range append(diagnosis.Diagnoses(), skipped) {
			diagnoses.WithLabelValues(name, string(d))
		}
	}
}

// showModes says which gates of the running configuration let everything through. Gates
// of one name are one series, which says so of any of them.
func showModes(gates []*Handler) {
	observing.Reset()
	for _, h := range gates {
		observing.WithLabelValues(h.Name).Add(0)
		if h.UnsafeObserveOnly {
			observing.WithLabelValues(h.Name).Set(1)
		}
	}
}

// lastUsed is when a delivery was last accepted with that secret, or nil.
func (m *meter) lastUsed(secret string) *time.Time {
	last := m.secrets[secret].series.last.Load()
	if last == 0 {
		return nil
	}
	t := time.Unix(0, last).UTC()
	return &t
}

// close gives the series back. A meter that was never made has none.
func (m *meter) close() {
	if m == nil {
		return
	}
	for secret := range m.secrets {
		_, _ = meters.Delete(secretKey{m.series.name, secret}) // Destruct does not fail
	}
	_, _ = meters.Delete(m.series.name)
}

// judged counts a verdict: the time it took, and the size of a body that was
// received whole.
func (m *meter) judged(a *attempt) {
	m.verdicts.Observe(a.took.Seconds())
	if a.whole {
		m.bodies.Observe(float64(a.body.Size()))
	}
}

// accept counts a delivery that an app was there for. One that passed although the
// replay guard had something against it is counted by that reason.
func (m *meter) accept(a *attempt) {
	if a.guard == "" {
		m.accepted.Inc()
	} else {
		m.count(resultAccepted, a.guard)
	}
	if used, ok := m.secrets[a.match.Secret]; ok { // those of tenants are not counted
		used.uses.Inc()
		used.series.last.Store(time.Now().UnixNano())
	}
	m.series.change(func() { m.series.last().SetToCurrentTime() })
}

// answered counts what the app did with a delivery.
func (m *meter) answered(class answerClass, after time.Duration) {
	m.answers[class].Inc()
	m.duration.Observe(after.Seconds())
	if class == class2xx {
		m.series.change(func() { m.series.lastSuccess().SetToCurrentTime() })
	}
}

// count counts what is not plainly accepted, by its result.
func (m *meter) count(result string, reason refusal.Reason) {
	m.series.change(func() { deliveries.WithLabelValues(m.series.name, result, string(reason)).Inc() })
}

// swapFailed counts secrets that changed and could not be used.
func (m *meter) swapFailed() {
	m.series.change(func() { secretFailures.WithLabelValues(m.series.name).Inc() })
}

func (m *meter) challenge() { m.count(resultChallenge, "") }

func (m *meter) diagnose(d diagnosis.Diagnosis) {
	m.series.change(func() { diagnoses.WithLabelValues(m.series.name, string(d)).Inc() })
}

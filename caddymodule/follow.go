package caddymodule

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/adminapi"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// defaultWatch is how often the files are read. A change is in force some two seconds after
// it was noticed, see settled: within five seconds in all.
const defaultWatch = 2 * time.Second

// A change counts when it was read three times, a second apart. A file that is written in
// place is empty first, and then has the first half of a secret in it.
const (
	settleReads = 2
	settlePause = time.Second
)

// files are those that a gate has secrets, public keys, tokens and verify tokens in. Their
// content is followed, not the file: Kubernetes changes a symbolic link, and editors put
// another file in the place of the old one.
type files struct {
	paths []string
	used  [sha256.Size]byte // of the content that the gate verifies with; of the goroutine alone

	mu       sync.Mutex
	loaded   time.Time // when what is used was taken
	checked  time.Time // when the files last held what is used
	swaps    int64
	failures int64
	problem  error // why what they hold is not used; nil: it is
}

// newFiles returns the files of the gate, as they are before they are read for the first
// time: what changes meanwhile is noticed later. It is nil for a gate without any.
func (h *Handler) newFiles() *files {
	f := &files{loaded: time.Now(), checked: time.Now()}
	for value := range h.values() {
		if path, ok := secretref.Path(value); ok {
			f.paths = append(f.paths, path)
		}
	}
	if f.paths == nil {
		return nil
	}
	f.used = f.read()
	return f
}

// values are all that the gate verifies with, as they are written.
func (h *Handler) values() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range append(h.tokens(), h.Secrets...) {
			if !yield(s.Value) {
				return
			}
		}
		for _, k := range h.PublicKeys {
			if !yield(k.Value) {
				return
			}
		}
		if h.Challenge == nil || !signature.HasSecrets(h.Challenge.Kind) {
			return
		}
		for _, argument := range h.Challenge.Arguments {
			if !yield(argument) {
				return
			}
		}
	}
}

// read returns a digest of what the files hold, errors included.
func (f *files) read() (sum [sha256.Size]byte) {
	all := sha256.New()
	for _, path := range f.paths {
		text, err := secretref.ReadFile(path)
		if err != nil {
			text = err.Error()
		}
		_, _ = fmt.Fprintf(all, "%t %d ", err == nil, len(text)) // a hash never fails
		_, _ = io.WriteString(all, text)
	}
	all.Sum(sum[:0])
	return sum
}

// followFiles follows the files of all gates. Each gate has a goroutine of its own: one that
// waits for a file system that does not answer must not keep the others from following.
func (a *App) followFiles() {
	for _, h := range a.handlers {
		if h.files != nil && a.watch() > 0 {
			go h.follow(a.ctx, a.watch())
		}
	}
}

// follow ends with the configuration.
func (h *Handler) follow(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var refused [sha256.Size]byte
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			refused = h.notice(ctx, refused)
		}
	}
}

// notice takes what the files hold, if it changed. refused is what could not be used before,
// and is tried again: it may have been kept out by what another gate had. It returns what
// could not be used now.
func (h *Handler) notice(ctx context.Context, refused [sha256.Size]byte) [sha256.Size]byte {
	now := h.files.read()
	if now == h.files.used {
		h.files.unchanged()
		return [sha256.Size]byte{}
	}
	if now != refused && !h.files.settled(ctx, now) {
		return refused
	}
	m, err := h.newMaterial()
	if h.files.read() != now || ctx.Err() != nil { // what was read last is not what was read before
		return refused
	}
	old := h.material()
	if err == nil {
		err = h.app.replace(h, m)
	}
	if err != nil {
		h.refuseFiles(err)
		return now
	}
	h.files.used = now
	h.tookFiles(old, m)
	return [sha256.Size]byte{}
}

// settled reports whether the files keep the content for a while.
func (f *files) settled(ctx context.Context, now [sha256.Size]byte) bool {
	for range settleReads {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(settlePause):
		}
		if f.read() != now {
			return false
		}
	}
	return true
}

func (f *files) unchanged() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked, f.problem = time.Now(), nil
}

// tookFiles reports that the gate verifies with what the files hold now.
func (h *Handler) tookFiles(old, m *material) {
	h.files.unchanged()
	h.files.mu.Lock()
	h.files.loaded = time.Now()
	h.files.swaps++
	h.files.mu.Unlock()
	h.logger.Info("secrets changed", zap.Strings("names", m.labels))
	h.logUnwise(added(old.unwise, m.unwise))
}

// added are the findings that were not there before.
func added(old, now []lint.Finding) (found []lint.Finding) {
	known := make(map[string]bool)
	for _, f := range old {
		known[f.String()] = true
	}
	for _, f := range now {
		if !known[f.String()] {
			found = append(found, f)
		}
	}
	return found
}

// refuseFiles reports, once, that what the files hold cannot be used, and that what they
// held before is in force.
func (h *Handler) refuseFiles(err error) {
	h.files.mu.Lock()
	defer h.files.mu.Unlock()
	known := h.files.problem != nil && h.files.problem.Error() == err.Error()
	h.files.problem = err
	if known {
		return
	}
	h.files.failures++
	h.meter.swapFailed()
	h.logger.Error("secrets changed and cannot be used; the old ones are still in force", zap.Error(err))
}

// state is what the admin API shows.
func (f *files) state() *adminapi.Files {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	state := &adminapi.Files{Loaded: f.loaded.UTC(), Checked: f.checked.UTC(), Swaps: f.swaps, Failures: f.failures}
	if f.problem != nil {
		state.Problem = f.problem.Error()
	}
	return state
}

var (
	filesLoaded = prometheus.NewDesc("caddy_webhook_auth_secrets_loaded_timestamp_seconds",
		"When the gate took what it verifies with from its files, in seconds since 1970.", []string{"name"}, nil)
	filesChecked = prometheus.NewDesc("caddy_webhook_auth_secrets_checked_timestamp_seconds",
		"When the files of the gate last held what it verifies with, in seconds since 1970.", []string{"name"}, nil)
)

// filesCollector shows the files of the running configuration. Of several gates of one name it
// shows the youngest change and the oldest check.
type filesCollector struct{}

// Describe implements prometheus.Collector.
func (filesCollector) Describe(all chan<- *prometheus.Desc) { all <- filesLoaded; all <- filesChecked }

// Collect implements prometheus.Collector.
func (filesCollector) Collect(all chan<- prometheus.Metric) {
	currentMu.Lock()
	gates := current.handlers
	currentMu.Unlock()
	loaded, checked := make(map[string]time.Time), make(map[string]time.Time)
	for _, h := range gates {
		state := h.files.state()
		if state == nil {
			continue
		}
		if state.Loaded.After(loaded[h.Name]) {
			loaded[h.Name] = state.Loaded
		}
		if before, ok := checked[h.Name]; h.app.watch() > 0 && (!ok || state.Checked.Before(before)) {
			checked[h.Name] = state.Checked
		}
	}
	for name, at := range loaded {
		all <- prometheus.MustNewConstMetric(filesLoaded, prometheus.GaugeValue, seconds(at), name)
	}
	for name, at := range checked { // with watch_secrets off, nobody checks, and an alert would fire for ever
		all <- prometheus.MustNewConstMetric(filesChecked, prometheus.GaugeValue, seconds(at), name)
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// watchOption reads a time, or off.
func (a *App) watchOption(l options.Line) error {
	a.WatchSecrets = new(caddy.Duration)
	if len(l.Args) == 1 && l.Args[0] == "off" {
		return nil
	}
	if err := options.Duration(a.WatchSecrets, limits.WatchSecrets, "2s")(l); err != nil {
		return fmt.Errorf("%w; or write off", err)
	}
	return nil
}

func (a *App) checkWatch() error {
	if a.WatchSecrets == nil {
		return nil
	}
	return limits.WatchSecrets.Check(int64(*a.WatchSecrets))
}

// watch is how often files are read; 0: never.
func (a *App) watch() time.Duration {
	if a.WatchSecrets == nil {
		return defaultWatch
	}
	return time.Duration(*a.WatchSecrets)
}

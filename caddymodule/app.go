package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/lint"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/options"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

func init() {
	caddy.RegisterModule(App{})
	httpcaddyfile.RegisterGlobalOption("webhook_auth", parseGlobalOption)
}

// Default budgets of the process.
const (
	defaultMemoryBudget = 256 << 20
	defaultDiskBudget   = 10 << 30
)

// budget is shared by all gates and kept across reloads, because the bodies that
// an old configuration still holds take the same memory. It has its defaults
// before any configuration is loaded.
var budget spool.Budget

func init() { new(App).apply() }

// App is what the `webhook_auth` gates of a configuration share. It bounds what all
// of them hold together of deliveries that are being received or handed on, and
// finds out why signatures did not match.
type App struct {
	// Memory for bodies, in bytes. Past half of it, a body over `memory` goes to disk,
	// and past all of it, every body. Default: 256 MiB.
	MemoryBudget int64 `json:"memory_budget,omitempty"`

	// Disk for bodies, in bytes, in the system's temporary folder (`TMPDIR`). Past
	// it, or where the disk is full, deliveries are answered with 503 and
	// `Retry-After`. Default: 10 GiB.
	DiskBudget int64 `json:"disk_budget,omitempty"`

	// Upstreams behind a gate that may also be reached without one, such as those of a
	// website that takes webhooks too. This silences the warning, and guards nothing. Write them as `reverse_proxy` does.
	Unguarded []string `json:"unguarded,omitempty"`

	// How many of the last deliveries are remembered, for `caddy webhook tail` and the
	// admin API, at most 2048; 0 turns it off. A delivery is some 600 bytes of memory.
	// Default: 1000.
	History *int `json:"history,omitempty"`

	// How often the files of secrets are read, to notice that they were changed: from 1s to
	// 1m; 0 turns it off. Default: 2s.
	WatchSecrets *caddy.Duration `json:"watch_secrets,omitempty"`

	// Shows the path and the client address of remembered deliveries also to those who
	// reach the admin API over a network. Without it, only the loopback and sockets do.
	RemoteDetails bool `json:"remote_details,omitempty"`

	previous  *App
	handlers  []*Handler      // all of the configuration; complete before Start
	ctx       caddy.Context   // ends with the configuration
	guarded   map[string]bool // the names of those with a replay guard
	index     *index
	specimens chan specimen
	noDisk    error                      // why no body can go to disk
	held      map[*caddyhttp.Server]bool // their connections wait for judged
	judged    chan struct{}              // closed when the configuration may serve
}

// current is the App whose budgets are in force.
var (
	currentMu sync.Mutex
	current   = new(App)
)

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "webhook_auth", New: func() caddy.Module { return new(App) }}
}

// Provision makes room for what is to be diagnosed, and tries the disk.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.specimens = ctx, make(chan specimen, diagnosesWaiting)
	a.guarded = make(map[string]bool)
	a.index = newIndex()
	a.held, a.judged = make(map[*caddyhttp.Server]bool), make(chan struct{})
	if a.noDisk = spool.Try(); a.noDisk != nil {
		ctx.Logger().Warn("no temporary file can be made; bodies that need one are answered with 503; check TMPDIR", zap.Error(a.noDisk))
	}
	return nil
}

// hold keeps a server with a gate from serving before the configuration is judged: Caddy
// starts apps in any order, and a server that started first would serve routes that are
// then refused. Caddy offers no such hook for HTTP/3.
func (a *App) hold(server *caddyhttp.Server) {
	if a.held[server] {
		return
	}
	a.held[server] = true
	server.RegisterConnContext(func(ctx context.Context, conn net.Conn) context.Context {
		if !a.mayServe() {
			_ = conn.Close()
		}
		return ctx
	})
}

// mayServe waits until the configuration is judged. Afterwards it does not end with its
// configuration, which serves to its last request.
func (a *App) mayServe() bool {
	select {
	case <-a.judged:
		return true
	default:
	}
	select {
	case <-a.judged:
		return true
	case <-a.ctx.Done():
		return false
	}
}

// needDisk refuses a gate whose larger bodies could never be held. A disk that is
// full is no mistake of the configuration, and does not keep the gate from serving
// what fits memory: that only warns.
func (a *App) needDisk(maxSize, memory int64) error {
	if a.noDisk == nil || spool.IsFull(a.noDisk) || maxSize <= memory {
		return nil
	}
	return mistake.In("max_size", "a body over memory (%s of %s) goes to a temporary file, and none can be made: %w; let TMPDIR name a folder that Caddy may write to, or raise memory to max_size",
		humanize.IBytes(uint64(memory)), humanize.IBytes(uint64(maxSize)), a.noDisk) //nolint:gosec // both are within their limits
}

// Validate rejects budgets beyond their limits.
func (a *App) Validate() error {
	return errors.Join(limits.MemoryBudget.Check(a.MemoryBudget), limits.DiskBudget.Check(a.DiskBudget), a.checkHistory(), a.checkWatch())
}

// guard refuses a second gate of the name with a replay guard. Of two apps that got
// the same delivery through gates that share what they remember, one would never
// see it.
func (a *App) guard(name string) error {
	if a.guarded[name] {
		return mistake.In("replay", "two gates have the name %q, and would take each other's deliveries for repetitions; give each a name of its own", name)
	}
	a.guarded[name] = true
	return nil
}

// Start refuses routes that cannot keep the promise: all apps are provisioned by now, so
// that they can be looked at. Then it puts the budgets in force; bodies that are held
// already count.
func (a *App) Start() error {
	if err := a.lint(); err != nil {
		return err
	}
	close(a.judged)
	currentMu.Lock()
	defer currentMu.Unlock()
	a.previous, current = current, a
	a.apply()
	// It may still fail to start, and must not have shrunk the history then.
	if a.previous.specimens == nil || a.remembered() > a.previous.remembered() {
		past.SetLimit(a.remembered())
	}
	go a.diagnoseAll(a.ctx)
	a.followFiles()
	return nil
}

// lint refuses a configuration that cannot keep the promise, and logs what else it finds.
func (a *App) lint() error {
	var refused []error
	for _, f := range findings(a, nil) {
		switch {
		case f.Severity == lint.Error:
			refused = append(refused, errors.New(f.String()))
		case f.AtGate: // logged by the gate
		case f.Severity == lint.Note:
			a.ctx.Logger().Info(f.Problem, f.Fields()...)
		default:
			a.ctx.Logger().Warn(f.Problem, f.Fields()...)
		}
	}
	return errors.Join(refused...)
}

// Stop of a configuration that could not start puts back what was in force before
// it. Stop of one that was replaced changes nothing.
func (a *App) Stop() error {
	currentMu.Lock()
	defer currentMu.Unlock()
	if current == a {
		current = a.previous
		current.apply()
	} else if current.previous == a {
		current.previous = a.previous
	}
	past.SetLimit(current.remembered())
	return nil
}

func (a *App) apply() {
	budget.Memory.SetLimit(cmp.Or(a.MemoryBudget, defaultMemoryBudget))
	budget.Disk.SetLimit(cmp.Or(a.DiskBudget, defaultDiskBudget))
	showModes(a.handlers)
}

// parseGlobalOption reads the global option:
//
//	webhook_auth {
//	    memory_budget <size>
//	    disk_budget   <size>
//	    unguarded     <upstream>...
//	    history       <count>|off
//	    watch_secrets <interval>|off
//	    remote_details
//	}
//
// earlier is what an earlier global option left. Caddy would replace it by this one.
func parseGlobalOption(d *caddyfile.Dispenser, earlier any) (any, error) {
	app := new(App)
	d.Next() // the option's name
	block := options.Start(d)
	if earlier != nil {
		block.Add(errors.New("it is given twice; put everything into one block"))
	}
	if len(block.Arguments()) > 0 {
		block.Add(errors.New("it takes a block and no argument"))
	}
	block.Read(options.Table{Of: "the global option webhook_auth", Secret: "secret <value> in the webhook_auth of a site", Hint: ofGates, Options: map[string]func(options.Line) error{
		"memory_budget":  options.Size(&app.MemoryBudget, limits.MemoryBudget, "256MiB"),
		"disk_budget":    options.Size(&app.DiskBudget, limits.DiskBudget, "10GiB"),
		"unguarded":      options.List(&app.Unguarded),
		"history":        app.historyOption,
		"remote_details": options.Flag(&app.RemoteDetails),
		"watch_secrets":  app.watchOption,
	}})
	if err := block.Err("global option webhook_auth"); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "webhook_auth", Value: caddyconfig.JSON(app, nil)}, nil
}

// ofGates says where an option of a gate belongs.
func ofGates(option string, _ []string) string {
	if new(Handler).options()[option] == nil {
		return ""
	}
	return "it is an option of a gate; write it into the webhook_auth of a site"
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
	_ caddy.Validator   = (*App)(nil)
)

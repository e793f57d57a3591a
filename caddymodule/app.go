package caddymodule

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/diagnosis"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/spool"
)

func init() {
	caddy.RegisterModule(App{})
	httpcaddyfile.RegisterGlobalOption("webhook_auth", parseGlobalOption)
}

// What all gates of the process may hold where the configuration says nothing.
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
	// Memory for bodies, in bytes. Past it, bodies go to disk at once. Default:
	// 256 MiB.
	MemoryBudget int64 `json:"memory_budget,omitempty"`

	// Disk for bodies, in bytes, in the system's temporary folder (`TMPDIR`). Past
	// it, or where the disk is full, deliveries are answered with 503 and
	// `Retry-After`. Default: 10 GiB.
	DiskBudget int64 `json:"disk_budget,omitempty"`

	previous  *App
	ctx       caddy.Context     // ends with the configuration
	gates     []*diagnosis.Gate // all of the configuration; complete before Start
	guarded   map[string]bool   // the names of those with a replay guard
	keys      keys
	specimens chan specimen
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

// Provision makes room for what is to be diagnosed.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.specimens = ctx, make(chan specimen, diagnosesWaiting)
	a.guarded = make(map[string]bool)
	a.keys = make(keys)
	return nil
}

// Validate refuses budgets below zero.
func (a *App) Validate() error {
	if a.MemoryBudget < 0 || a.DiskBudget < 0 {
		return fmt.Errorf("memory_budget and disk_budget: %w", errNotPositive)
	}
	return nil
}

// guard refuses a second gate of the name with a replay guard. Of two apps that got
// the same delivery through gates that share what they remember, one would never
// see it.
func (a *App) guard(name string) error {
	if a.guarded[name] {
		return fmt.Errorf("replay: two gates have the name %q, and would take each other's deliveries for repetitions; give each a name of its own", name)
	}
	a.guarded[name] = true
	return nil
}

// Start puts the budgets in force; bodies that are held already count. All apps are
// provisioned by now, so that the routes can be looked at.
func (a *App) Start() error {
	currentMu.Lock()
	defer currentMu.Unlock()
	a.previous, current = current, a
	a.apply()
	lint(a.ctx, a.ctx.Logger())
	go a.diagnoseAll(a.ctx)
	return nil
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
	return nil
}

func (a *App) apply() {
	budget.Memory.SetLimit(cmp.Or(a.MemoryBudget, defaultMemoryBudget))
	budget.Disk.SetLimit(cmp.Or(a.DiskBudget, defaultDiskBudget))
}

// parseGlobalOption reads the global option:
//
//	webhook_auth {
//	    memory_budget <size>
//	    disk_budget   <size>
//	}
func parseGlobalOption(d *caddyfile.Dispenser, _ any) (any, error) {
	app := new(App)
	d.Next() // the option's name
	if d.NextArg() {
		return nil, d.Err("the global option webhook_auth takes a block and no argument")
	}
	err := parseOptions(d, map[string]func(line) error{
		"memory_budget": size(&app.MemoryBudget),
		"disk_budget":   size(&app.DiskBudget),
	}, "")
	if err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "webhook_auth", Value: caddyconfig.JSON(app, nil)}, nil
}

// Interface guards
var (
	_ caddy.App         = (*App)(nil)
	_ caddy.Provisioner = (*App)(nil)
	_ caddy.Validator   = (*App)(nil)
)

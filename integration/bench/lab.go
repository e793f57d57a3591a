package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

//go:embed Caddyfile.tmpl
var caddyfileText string

var caddyfile = template.Must(template.New("Caddyfile").Parse(caddyfileText))

// A lab holds what all gateways of a run share.
type lab struct {
	options options
	dir     string // for temporary files
	binary  string
	other   string // the binary to compare with
	secret  string
	redis   string // the address of the shared store; empty: there is none
}

// newLab builds the binaries.
func newLab(ctx context.Context, root string, o options) (*lab, error) {
	dir, err := os.MkdirTemp("", "webhook-auth-bench-*")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, dir: dir, binary: o.binary, other: o.Against, secret: rand.Text() + rand.Text()}
	if l.binary == "" {
		l.binary = filepath.Join(dir, "caddy")
		err = build(ctx, root, l.binary)
	}
	if info, missing := os.Stat(o.Against); err == nil && o.Against != "" && (missing != nil || info.IsDir()) {
		l.other = filepath.Join(dir, "other")
		err = l.buildRef(ctx, root)
	}
	if err != nil {
		l.close()
	}
	return l, err
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

func build(ctx context.Context, root, output string) error {
	progress("building %s with xcaddy.sh", root)
	return command(ctx, root, []string{"OUTPUT=" + output}, "./xcaddy.sh")
}

// buildRef builds the other binary from a git ref, in a worktree that is then removed.
func (l *lab) buildRef(ctx context.Context, root string) error {
	tree := filepath.Join(l.dir, "ref")
	if err := command(ctx, root, nil, "git", "worktree", "add", "--detach", tree, l.options.Against); err != nil {
		return err
	}
	return errors.Join(build(ctx, tree, l.other),
		command(context.WithoutCancel(ctx), root, nil, "git", "worktree", "remove", "--force", tree))
}

// command runs a command in a folder. Its error holds what the command printed.
func command(ctx context.Context, dir string, env []string, name string, args ...string) error {
	run := exec.CommandContext(ctx, name, args...) //nolint:gosec // xcaddy.sh and git
	run.Dir, run.Env = dir, append(os.Environ(), env...)
	if printed, err := run.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, printed)
	}
	return nil
}

// A gateway is one process of the binary, and the app behind it.
type gateway struct {
	Dir   string // the gateway's folder
	App   string // the app's address
	Redis string // the address of the shared store; empty: there is none

	site    map[string]string // addresses by the names in Caddyfile.tmpl
	held    []net.Listener
	app     *exec.Cmd
	stopApp func()
	process *exec.Cmd
	exited  chan struct{} // closed when the process has ended
}

// Site gives a site of the Caddyfile an address, and holds it until the gateway starts, so
// that no other site gets the same.
func (g *gateway) Site(name string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not block
	if err != nil {
		return "", err
	}
	g.held = append(g.held, listener)
	g.site[name] = listener.Addr().String()
	return g.site[name], nil
}

// start starts a gateway and waits until it accepts connections.
func (l *lab) start(ctx context.Context, binary string) (*gateway, error) {
	dir, err := os.MkdirTemp(l.dir, "gateway-*")
	if err != nil {
		return nil, err
	}
	g := &gateway{Dir: dir, Redis: l.redis, site: make(map[string]string), exited: make(chan struct{})}
	if g.app, g.App, g.stopApp, err = startApp(ctx); err != nil {
		return nil, err
	}
	if err := g.run(ctx, binary, l.secret); err != nil {
		g.stopApp()
		return nil, err
	}
	if err := g.ready(ctx); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// run starts the process. From the environment it gets only TMPDIR, where the bodies go,
// and Go's limits, because other variables could change the measurement.
func (g *gateway) run(ctx context.Context, binary, secret string) error {
	var config strings.Builder
	file := filepath.Join(g.Dir, "Caddyfile")
	err := caddyfile.Execute(&config, g)
	for _, listener := range g.held {
		_ = listener.Close()
	}
	if err := errors.Join(err, os.WriteFile(file, []byte(config.String()), 0o600)); err != nil {
		return err
	}
	log, err := os.Create(g.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	g.process = exec.CommandContext(ctx, binary, "run", "--config", file, "--adapter", "caddyfile") //nolint:gosec // what we built
	g.process.Env = []string{"HOME=" + g.Dir, "TMPDIR=" + os.TempDir(), "WEBHOOK_SECRET=" + secret}
	for _, limit := range []string{"GOGC", "GOMEMLIMIT"} {
		if value := os.Getenv(limit); value != "" {
			g.process.Env = append(g.process.Env, limit+"="+value)
		}
	}
	g.process.Stderr = log
	if err := g.process.Start(); err != nil {
		return err
	}
	go func() {
		_ = g.process.Wait() // its log says how it ended
		close(g.exited)
	}()
	return nil
}

// ready waits until every site accepts connections.
func (g *gateway) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, address := range g.site {
		for {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-g.exited:
				return errors.Join(errors.New("the gateway does not start"), g.complaints())
			case <-ctx.Done():
				return errors.Join(errors.New("the gateway does not listen"), g.complaints())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

func (g *gateway) log() string { return filepath.Join(g.Dir, "gateway.log") }

// complaints returns what the gateway logged at level ERROR. Under a load that it can
// bear, that is nothing.
func (g *gateway) complaints() error {
	log, err := os.ReadFile(g.log())
	if err != nil || len(log) == 0 {
		return err
	}
	return fmt.Errorf("the gateway logs errors:\n%s", log[:min(len(log), 2000)])
}

// stop ends the gateway and then the app.
func (g *gateway) stop() {
	_ = g.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.exited:
	case <-time.After(10 * time.Second):
		_ = g.process.Process.Kill()
		<-g.exited
	}
	g.stopApp()
}

// pid returns the process id of the gateway.
func (g *gateway) pid() int { return g.process.Process.Pid }

// pids returns the process ids of everything that takes part.
func (g *gateway) pids() []int { return []int{g.pid(), g.app.Process.Pid, os.Getpid()} }

// pprof writes one of the profiles of the admin endpoint to a file.
func (g *gateway) pprof(ctx context.Context, what, name string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.site["admin"]+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	profile, err := io.ReadAll(response.Body)
	return errors.Join(err, os.WriteFile(name, profile, 0o600))
}

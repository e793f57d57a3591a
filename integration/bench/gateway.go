package main

import (
	"context"
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

// A gateway is one process of the binary, and the app behind it.
type gateway struct {
	ports
	Dir         string // the gateway's folder
	Certificate string // the folder of cert.pem and key.pem
	App         string // the app's address
	Redis       string // the address of the shared store; empty: there is none

	app     *app
	process *exec.Cmd
	exited  chan struct{} // closed when the process has ended
}

// ports are the addresses of the gateway's sites, by their names in Caddyfile.tmpl.
type ports struct {
	Admin, Plain, Guarded, PlainTLS, GuardedTLS, Refusing, PatientPlain, Patient, Remembering, Sharing string
}

func (p *ports) all() []*string {
	return []*string{
		&p.Admin, &p.Plain, &p.Guarded, &p.PlainTLS, &p.GuardedTLS, &p.Refusing, &p.PatientPlain, &p.Patient,
		&p.Remembering, &p.Sharing,
	}
}

// take finds a free port for each site. It holds all of them until it has the last one,
// so that it finds none twice.
func (p *ports) take() error {
	for _, address := range p.all() {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not block
		if err != nil {
			return err
		}
		defer func() { _ = listener.Close() }()
		*address = listener.Addr().String()
	}
	return nil
}

// start starts a gateway and waits until it accepts connections. It retries, because
// somebody else may take a free port before the gateway listens on it.
func (l *lab) start(ctx context.Context, binary string) (g *gateway, err error) {
	for range 3 {
		if g, err = l.startOnce(ctx, binary); err == nil {
			return g, nil
		}
	}
	return nil, err
}

func (l *lab) startOnce(ctx context.Context, binary string) (*gateway, error) {
	dir, err := os.MkdirTemp(l.dir, "gateway-*")
	if err != nil {
		return nil, err
	}
	g := &gateway{Dir: dir, Certificate: l.dir, Redis: l.redis, exited: make(chan struct{})}
	if err := g.take(); err != nil {
		return nil, err
	}
	if g.app, err = startApp(ctx); err != nil {
		return nil, err
	}
	g.App = g.app.address
	if err := g.run(ctx, binary, l.secret); err != nil {
		g.app.stop()
		return nil, err
	}
	if err := g.ready(ctx); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// run starts the process. From the environment it gets only TMPDIR, where the bodies go,
// because other variables could change the measurement.
func (g *gateway) run(ctx context.Context, binary, secret string) error {
	var config strings.Builder
	file := filepath.Join(g.Dir, "Caddyfile")
	if err := errors.Join(caddyfile.Execute(&config, g), os.WriteFile(file, []byte(config.String()), 0o600)); err != nil {
		return err
	}
	log, err := os.Create(g.log())
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	g.process = exec.CommandContext(ctx, binary, "run", "--config", file, "--adapter", "caddyfile") //nolint:gosec // what we built
	g.process.Env = []string{"HOME=" + g.Dir, "TMPDIR=" + os.TempDir(), "WEBHOOK_SECRET=" + secret}
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
	for _, address := range g.all() {
		for !answers(ctx, *address) {
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

func answers(ctx context.Context, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
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

// stop ends the gateway and then the app. A second call does nothing.
func (g *gateway) stop() {
	_ = g.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.exited:
	case <-time.After(10 * time.Second):
		_ = g.process.Process.Kill()
		<-g.exited
	}
	g.app.stop()
}

// pid returns the process id of the gateway.
func (g *gateway) pid() int { return g.process.Process.Pid }

// pids returns the process ids of everything that takes part.
func (g *gateway) pids() []int { return []int{g.pid(), g.app.process.Process.Pid, os.Getpid()} }

// goroutines asks the admin endpoint how many there are.
func (g *gateway) goroutines(ctx context.Context) (count int, err error) {
	var profile strings.Builder
	if err := g.pprof(ctx, "goroutine?debug=1", &profile); err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(profile.String(), "goroutine profile: total %d", &count)
	return count, err
}

// pprof copies one of the profiles of the admin endpoint to w.
func (g *gateway) pprof(ctx context.Context, what string, w io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Admin+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	request.Close = true // a kept connection would count as an open file
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("pprof: %s", response.Status)
	}
	_, err = io.Copy(w, response.Body)
	return err
}

// Package fleet starts Redis servers for tests: one, a cluster, a master with replicas and
// sentinels, with TLS or without, on ports of their own. Tests can kill a server, pause it,
// and cut it off from the others.
package fleet

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// Password is the password of all servers and sentinels.
const Password = "s3cret-of-the-store-of-the-fleet"

// patience is how long a server may take to do what it is told.
const patience = 30 * time.Second

// Binary returns the server to test with. REDIS_SERVER names another one than Redis of this
// system, such as valkey-server.
func Binary(t testing.TB) string {
	t.Helper()
	if other := os.Getenv("REDIS_SERVER"); other != "" {
		return other
	}
	return tools.Need(t, "redis-server")
}

// Options are what the servers of a test have in common.
type Options struct {
	Flags []string     // of redis-server
	TLS   *Certificate // of all servers; nil: without TLS
	Wires *Net         // what the servers are connected through; nil: directly
}

// A Server is a process of Redis, or a sentinel.
type Server struct {
	Addr string // what clients and other servers connect to

	t       testing.TB
	own     string // what it listens on
	source  string // the address that its own connections come from
	bus     string // port of the cluster bus; "": none
	tls     *tls.Config
	args    []string
	dir     string
	mu      sync.Mutex
	process *exec.Cmd
}

// Start starts one server.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := newServer(t, o)
	s.Start()
	return s
}

// newServer prepares a server.
func newServer(t testing.TB, o Options, more ...string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis") // a test's own folder could have too long a name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	port := tools.FreePort(t)
	s := &Server{t: t, dir: dir, own: join(port)}
	s.Addr = s.own
	s.args = append([]string{
		Binary(t), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--logfile", filepath.Join(dir, "log"), "--daemonize", "no",
		"--requirepass", Password, "--masterauth", Password, "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
	}, listen(o.TLS, port)...)
	if o.TLS != nil {
		s.tls = o.TLS.Client
	}
	if o.Wires != nil {
		s.Addr = o.Wires.attach(t, s)
		_, announced, _ := net.SplitHostPort(s.Addr)
		s.args = append(s.args, "--bind-source-addr", s.source, "--replica-announce-ip", "127.0.0.1", "--replica-announce-port", announced)
	}
	s.args = append(append(s.args, o.Flags...), more...)
	t.Cleanup(s.Kill)
	return s
}

func listen(c *Certificate, port int) []string {
	if c == nil {
		return []string{"--port", strconv.Itoa(port)}
	}
	return append([]string{"--port", "0", "--tls-port", strconv.Itoa(port)}, c.flags()...)
}

// Start starts the server, again after Kill.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = exec.Command(s.args[0], s.args[1:]...)
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		s.t.Error(err)
		return
	}
	s.Until("it answers", func(c *redis.Client) bool {
		err := c.Ping(s.t.Context()).Err()
		return err == nil || redis.IsLoadingError(err) || redis.HasErrorPrefix(err, "MASTERDOWN")
	})
}

// Kill kills the server, paused or not.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

// Pause stops the process, which keeps its connections, until Resume.
func (s *Server) Pause()  { s.signal(pause) }
func (s *Server) Resume() { s.signal(resume) }

func (s *Server) signal(send func(*os.Process) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := send(s.process.Process); err != nil {
		s.t.Error(err)
	}
}

// Processor returns the processor time that the server has used.
func (s *Server) Processor() time.Duration {
	c := s.Client()
	defer c.Close()
	used := 0.0
	for line := range strings.Lines(c.Info(s.t.Context(), "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, _ := strconv.ParseFloat(value, 64)
			used += seconds
		}
	}
	return time.Duration(used * float64(time.Second))
}

// Client returns a client of this server alone, by the way that nothing cuts.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: s.own, Password: Password, TLSConfig: s.tls, Protocol: 2, DisableIdentity: true,
		DialTimeout: time.Second, ReadTimeout: 2 * time.Second, MaxRetries: -1, DialerRetries: 1, PoolSize: 1,
	})
}

// Do runs a command on this server.
func (s *Server) Do(args ...any) string {
	c := s.Client()
	defer c.Close()
	reply, err := c.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Errorf("%s: %v: %v", s.Addr, args, err)
	}
	return fmt.Sprint(reply)
}

// IsMaster reports whether the server takes itself for a master.
func (s *Server) IsMaster() bool { return s.field("role") == "master" }

// field returns a field of INFO replication.
func (s *Server) field(name string) string {
	c := s.Client()
	defer c.Close()
	for line := range strings.Lines(c.Info(context.Background(), "replication").Val()) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key == name {
			return value
		}
	}
	return ""
}

// Until waits until something holds of the server.
func (s *Server) Until(what string, holds func(*redis.Client) bool) {
	s.t.Helper()
	c := s.Client()
	defer c.Close()
	until(s.t, s.Addr+": "+what, func() bool { return holds(c) }, s.log)
}

// log returns the end of what the server wrote.
func (s *Server) log() string {
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text[max(len(text)-2000, 0):])
}

func until(t testing.TB, what string, holds func() bool, log func() string) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience || t.Context().Err() != nil {
			t.Errorf("waited %v in vain until %s\n%s", time.Since(start).Round(time.Second), what, log())
			return
		}
	}
}

func join(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

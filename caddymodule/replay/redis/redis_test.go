package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/redis/go-redis/v9"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/storetest"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
	replayredis "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis"
	"github.com/webhookauth/caddy-webhook-auth/integration/fleet"
)

const (
	lease    = time.Minute
	window   = storetest.Window
	patience = 20 * time.Second
	password = "s3cret-of-the-store"
)

// A server is a Redis process on a Unix socket.
type server struct {
	socket  string
	process *exec.Cmd
}

func startServer(t *testing.T, flags ...string) *server {
	t.Helper()
	path := fleet.Binary(t)
	dir, err := os.MkdirTemp("", "redis") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{socket: filepath.Join(dir, "redis.sock")}
	s.start(t, path, append([]string{"--port", "0", "--unixsocket", s.socket, "--dir", dir, "--save", "", "--requirepass", password}, flags...)...)
	return s
}

func (s *server) start(t *testing.T, path string, args ...string) {
	t.Helper()
	s.process = exec.Command(path, args...)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.thaw()
		s.process.Process.Kill()
		s.process.Wait()
	})
	c := s.client(t)
	eventually(t, "Redis answers", func() bool { return c.Ping(t.Context()).Err() == nil })
}

// client returns a plain client, to see what the server holds.
func (s *server) client(t *testing.T) *redis.Client { return s.as(t, password) }

// as logs in with a password.
func (s *server) as(t *testing.T, password string) *redis.Client {
	c := redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket, Password: password, Protocol: 2})
	t.Cleanup(func() { c.Close() })
	return c
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > patience {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}

// open returns the store of a configuration that ends with the test.
func open(t testing.TB, m *replayredis.Redis) replay.Store {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	if err := m.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := m.Open("gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Cleanup() })
	return s
}

// patient has a timeout that a busy machine can keep.
func (s *server) patient() *replayredis.Redis {
	return &replayredis.Redis{Addresses: []string{s.socket}, Password: password, Timeout: caddy.Duration(patience)}
}

func TestRedisClaims(t *testing.T) {
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)

	c, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	if state, _, err := s.Claim(t.Context(), c); state != replay.Fresh || err != nil {
		t.Errorf("the same attempt again: state %d, error %v", state, err)
	}
	if _, first := storetest.Claim(t, s, 1, lease, replay.InFlight); first.UnixMilli() != c.At.UnixMilli() {
		t.Errorf("the first came at %v, want %v", first, c.At)
	}
	storetest.Must(t, s.Release(t.Context(), c))
	again, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	storetest.Must(t, s.Release(t.Context(), c)) // another claim has its place
	if err := s.Commit(t.Context(), c, window); !errors.Is(err, replay.ErrLost) {
		t.Errorf("commit in the place of another claim: %v", err)
	}
	storetest.Claim(t, s, 1, lease, replay.InFlight)
	storetest.Must(t, s.Commit(t.Context(), again, window))
	storetest.Must(t, s.Commit(t.Context(), again, window)) // sent again
	storetest.Must(t, s.Release(t.Context(), again))        // the app keeps what it accepted
	if _, first := storetest.Claim(t, s, 1, lease, replay.Done); first.UnixMilli() != again.At.UnixMilli() {
		t.Errorf("the first came at %v, want %v", first, again.At)
	}
	storetest.Claim(t, s, 2, lease, replay.Fresh)

	keys, err := redis.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 2 || !strings.HasPrefix(keys[0], "webhook_auth:") {
		t.Errorf("keys %q, error %v", keys, err)
	}
	for _, k := range keys {
		if ttl := redis.PTTL(t.Context(), k).Val(); ttl <= 0 || ttl > window {
			t.Errorf("%s lives for %v", k, ttl)
		}
	}
}

// A claim ends with its lease, and a commit with its window.
func TestExpiry(t *testing.T) {
	const soon = 50 * time.Millisecond
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)
	dead, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	name := redis.Keys(t.Context(), "*").Val()[0]
	held := redis.Get(t.Context(), name).Val()
	storetest.Must(t, s.Release(t.Context(), dead))
	start := time.Now()
	storetest.Must(t, redis.Set(t.Context(), name, held, soon).Err()) // as a dead gateway leaves it
	var c replay.Claim
	eventually(t, "the lease ends", func() bool {
		c = replay.NewClaim(storetest.Key(1), lease)
		state, _, err := s.Claim(t.Context(), c)
		return err == nil && state == replay.Fresh
	})
	if time.Since(start) < soon {
		t.Error("the lease expired too early")
	}
	storetest.Must(t, s.Commit(t.Context(), c, time.Second))
	storetest.Claim(t, s, 1, lease, replay.Done)
	eventually(t, "the window ends", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err == nil && state == replay.Fresh
	})
	forgotten, _ := storetest.Claim(t, s, 2, lease, replay.Fresh)
	storetest.Must(t, redis.FlushAll(t.Context()).Err())
	storetest.Must(t, s.Commit(t.Context(), forgotten, window))
	storetest.Claim(t, s, 2, lease, replay.Done)
}

// Two gateways that share a server never hold two claims for one delivery, and none after
// it was delivered.
func TestRedisOneAtATime(t *testing.T) {
	server := startServer(t)
	other := server.patient()
	other.Addresses = []string{startWire(t, server).address} // a gateway of its own
	storetest.Crowd{Senders: 8, Rounds: 300, Deliveries: 10, Commits: 50}.OneAtATime(t, open(t, server.patient()), open(t, other))
}

// A hanging server costs a few timeouts and not one for each delivery. When the server
// resumes, so does the store, and it finishes what it could not finish before.
func TestHang(t *testing.T) {
	server := startServer(t)
	m := server.patient()
	m.Timeout = caddy.Duration(100 * time.Millisecond)
	s := open(t, m)
	var taken, failed replay.Claim
	eventually(t, "both are claimed", func() bool { // a busy machine may miss the timeout
		taken, failed = replay.NewClaim(storetest.Key(1), lease), replay.NewClaim(storetest.Key(2), lease)
		one, _, _ := s.Claim(t.Context(), taken)
		two, _, _ := s.Claim(t.Context(), failed)
		server.client(t).FlushAll(t.Context())
		if one != replay.Fresh || two != replay.Fresh {
			return false
		}
		one, _, _ = s.Claim(t.Context(), taken)
		two, _, _ = s.Claim(t.Context(), failed)
		return one == replay.Fresh && two == replay.Fresh
	})
	server.freeze(t)
	if s.Commit(t.Context(), taken, window) == nil || s.Release(t.Context(), failed) == nil {
		t.Error("a hanging server answered")
	}
	start, refusals := time.Now(), 0
	for ; refusals < 1000; refusals++ {
		if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(3), lease)); err == nil || state != replay.Unknown {
			t.Fatalf("state %d from a hanging server", state)
		}
	}
	if waited := time.Since(start); waited > patience {
		t.Errorf("1,000 deliveries waited %v for a timeout of 100ms", waited)
	}
	server.thaw()
	eventually(t, "the store is back", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err == nil && state == replay.Done
	})
	eventually(t, "the failed delivery is released", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(2), lease))
		return err == nil && state == replay.Fresh
	})
}

// The store starts before its server and finds it by itself.
func TestServerComesLater(t *testing.T) {
	first := startServer(t)
	first.process.Process.Kill()
	first.process.Wait()
	m := first.patient()
	m.Timeout = caddy.Duration(time.Second)
	s := open(t, m)
	for range 10 {
		if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease)); err == nil || strings.Contains(err.Error(), password) {
			t.Fatalf("state %d, error %v", state, err)
		}
	}
	os.Remove(first.socket)
	first.start(t, first.process.Path, first.process.Args[1:]...)
	eventually(t, "the store is back", func() bool {
		state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		return err == nil && state == replay.Fresh
	})
}

// No error shows a password, right or wrong.
func TestWrongPassword(t *testing.T) {
	m := startServer(t).patient()
	m.Password = "another-" + password
	s := open(t, m)
	_, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
	if err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("error %v", err)
	}
}

// A foreign value under the key is not a claim.
func TestForeignKey(t *testing.T) {
	server := startServer(t)
	s, redis := open(t, server.patient()), server.client(t)
	c, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	name := redis.Keys(t.Context(), "*").Val()[0]
	storetest.Must(t, s.Release(t.Context(), c))
	storetest.Must(t, redis.Set(t.Context(), name, "something else", 0).Err())
	if state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease)); err == nil || state != replay.Unknown {
		t.Errorf("state %d, error %v", state, err)
	}
}

// A reload keeps the client, and another configuration gets another one.
func TestRedisReload(t *testing.T) {
	server := startServer(t)
	first := server.patient()
	s := open(t, first)
	c, _ := storetest.Claim(t, s, 1, lease, replay.Fresh)
	if s != open(t, server.patient()) {
		t.Error("the same configuration got another client")
	}
	other := server.patient()
	other.KeyPrefix = "other:"
	storetest.Claim(t, open(t, other), 1, lease, replay.Fresh)
	storetest.Must(t, s.Commit(t.Context(), c, window))
}

func TestRedisCaddyfile(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", password)
	full := `redis {
		address 10.0.0.1:6380
		username gateway
		password {env.REDIS_PASSWORD}
		tls /etc/ca.pem
		key_prefix hooks:
		timeout 1s
	}`
	m := new(replayredis.Redis)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(full)); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(m)
	const want = `{"addresses":["10.0.0.1:6380"],"username":"gateway","password":"{env.REDIS_PASSWORD}","tls":true,"tls_ca":"/etc/ca.pem","key_prefix":"hooks:","timeout":1000000000}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, error %v, want %s", got, err, want)
	}
	cluster := `redis {
		address node1:6379 node2:6379 {env.NODE3}
		cluster
		tls
		tls_client_auth /etc/gateway.pem /etc/gateway.key
		tls_server_name redis.internal
		wait_replicas 1
	}`
	m = new(replayredis.Redis)
	if err := m.UnmarshalCaddyfile(caddyfile.NewTestDispenser(cluster)); err != nil {
		t.Fatal(err)
	}
	got, err = json.Marshal(m)
	const wantCluster = `{"addresses":["node1:6379","node2:6379","{env.NODE3}"],"cluster":true,"tls":true,"tls_client_cert":"/etc/gateway.pem","tls_client_key":"/etc/gateway.key","tls_server_name":"redis.internal","wait_replicas":1}`
	if err != nil || string(got) != wantCluster {
		t.Errorf("got %s, error %v, want %s", got, err, wantCluster)
	}
	for text, want := range map[string]string{
		"redis {\n address a:1 b:1 c:1\n sentinel hooks\n sentinel_username finder\n sentinel_password {env.REDIS_PASSWORD}\n}": "",
		"redis {\n address a:1 b:1\n}":                              "one server has one address; for several write also: cluster, or: sentinel <master>",
		"redis {\n cluster\n}":                                      "cluster: the nodes are missing",
		"redis {\n sentinel s3cret\n}":                              "sentinel: the sentinels are missing",
		"redis {\n address a:1\n cluster\n sentinel s3cret\n}":      "remove sentinel or cluster",
		"redis {\n address /run/redis.sock\n cluster\n}":            "address: a cluster or Sentinel cannot be behind a Unix socket",
		"redis {\n address a:1 s3cret\n cluster\n}":                 "address: it is host:port",
		"redis {\n address a:1,b:1\n cluster\n}":                    "address: it is host:port",
		"redis {\n sentinel_password s3cret\n}":                     "add: sentinel <master>",
		"redis {\n cluster yes\n address a:1\n}":                    "cluster: it takes no argument",
		"redis {\n tls_server_name s3cret\n}":                       "tls_server_name: it needs tls; add: tls",
		"redis {\n tls\n tls_client_auth s3cret\n}":                 "it takes a certificate and its key",
		"redis {\n wait_replicas 0\n}":                              "wait_replicas",
		"redis {\n wait_replicas 17\n}":                             "from 1 to 16",
		"redis {\n wait_replicas 1\n timeout 5ms\n}":                "timeout: wait_replicas needs at least 10ms",
		"redis {\n address a:1\n cluster\n key_prefix {s3cret}:\n}": "key_prefix: braces put all keys into one hash slot",
		"redis {\n nodes a:1\n}":                                    "did you mean address?",
		"redis {\n sentinel_master a\n}":                            "did you mean sentinel?",
		"redis {\n wait_replica 1\n}":                               "did you mean wait_replicas?",
		"redis {\n clustr\n}":                                       "did you mean cluster?",
		"redis {\n tls_client_cert a\n}":                            "did you mean tls_client_auth?",
		"redis":                                                     "",
		"redis {\n tls\n}":                                          "",
		"redis localhost:6379":                                      "block",
		"redis {\n password\n}":                                     "one argument",
		"redis {\n password s3cret pass\n}":                         "one argument",
		"redis {\n password \"\"\n}":                                "empty",
		"redis {\n s3cret\n}":                                       "write secrets as: password <value>",
		"redis {\n tls a s3cret\n}":                                 "tls",
		"redis {\n timeout s3cret\n}":                               "timeout",
		"redis {\n timeout 0s\n}":                                   "greater than zero",
		"redis {\n address a:1\n address s3cret:1\n}":               "twice",
	} {
		err := new(replayredis.Redis).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// A configuration that cannot work does not load. No error shows a value.
func TestRedisConfiguration(t *testing.T) {
	t.Setenv("ADDRESS", "localhost:6379")
	t.Setenv("SOCKET", "/run/redis.sock")
	for _, tc := range []struct {
		redis replayredis.Redis
		want  string
	}{
		{replayredis.Redis{}, ""},
		{replayredis.Redis{Addresses: []string{"{env.ADDRESS}"}}, ""},
		{replayredis.Redis{Addresses: []string{"[::1]:6379"}, TLS: true}, ""},
		{replayredis.Redis{Password: "{env.NOWHERE}"}, "password: {env.NOWHERE} is unset"},
		{replayredis.Redis{Password: "{file./nowhere}"}, "password: {file./nowhere} cannot be read"},
		{replayredis.Redis{Password: "s3cret{env.ADDRESS}"}, "password"},
		{replayredis.Redis{Username: " "}, "username"},
		{replayredis.Redis{Addresses: []string{"s3cret"}}, "address"},
		{replayredis.Redis{Addresses: []string{":6379"}}, "address"},
		{replayredis.Redis{Addresses: []string{"{env.NOWHERE}"}}, "address"},
		{replayredis.Redis{Timeout: -1}, "timeout"},
		{replayredis.Redis{Addresses: []string{"a:1", "{env.ADDRESS}"}, Cluster: true}, ""},
		{replayredis.Redis{Addresses: []string{"a:1", "{env.ADDRESS}"}}, "address"},
		{replayredis.Redis{Addresses: []string{"a:1", "{env.SOCKET}"}, Cluster: true}, "address"},
		{replayredis.Redis{Addresses: []string{"a:1"}, Sentinel: "hooks", SentinelPassword: "{env.NOWHERE}"}, "sentinel_password: {env.NOWHERE} is unset"},
		{replayredis.Redis{Cluster: true}, "cluster"},
		{replayredis.Redis{SentinelUsername: "s3cret"}, "sentinel <master>"},
		{replayredis.Redis{WaitReplicas: -1}, "wait_replicas"},
		{replayredis.Redis{TLSServerName: "s3cret"}, "tls"},
		{replayredis.Redis{TLS: true, TLSClientCert: "/s3cret"}, "tls_client_auth"},
		{replayredis.Redis{TLS: true, TLSClientCert: "/nowhere/cert.pem", TLSClientKey: "/nowhere/key.pem"}, "/nowhere/cert.pem"},
		{replayredis.Redis{TLSCA: "/ca.pem"}, "tls"},
		{replayredis.Redis{TLS: true, Addresses: []string{"/run/redis.sock"}}, "tls"},
		{replayredis.Redis{TLS: true, TLSCA: "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
		{replayredis.Redis{TLS: true, TLSCA: os.Args[0]}, "no certificate"},
	} {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		err := tc.redis.Provision(ctx)
		if err == nil {
			_, err = tc.redis.Open("gate")
			storetest.Must(t, tc.redis.Cleanup())
		}
		cancel()
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%+v: error %v, want %q", tc.redis.Addresses, err, tc.want)
		}
	}
}

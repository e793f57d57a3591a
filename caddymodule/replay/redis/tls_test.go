package redis_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/storetest"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
	replayredis "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis"
	"github.com/webhookauth/caddy-webhook-auth/integration/fleet"
)

// secure is a store on a server with TLS.
func secure(address string, c *fleet.Certificate) *replayredis.Redis {
	return &replayredis.Redis{
		Addresses: []string{address}, Password: fleet.Password, Timeout: caddy.Duration(patience),
		TLS: true, TLSCA: c.CA, TLSClientCert: c.Cert, TLSClientKey: c.Key,
	}
}

// A server proves the name that was dialled, or the one in the configuration, and the
// gateway proves its own.
func TestRedisTLS(t *testing.T) {
	t.Parallel()
	authority, other := fleet.NewAuthority(t), fleet.NewAuthority(t)
	byIP, byName := authority.Issue("127.0.0.1"), authority.Issue("redis.internal")
	numbered, named := fleet.Start(t, fleet.Options{TLS: byIP}), fleet.Start(t, fleet.Options{TLS: byName})
	for _, tc := range []struct {
		name   string
		server *fleet.Server
		change func(*replayredis.Redis)
		want   string
	}{
		{"the name that was dialled", numbered, func(*replayredis.Redis) {}, ""},
		{"another name", named, func(*replayredis.Redis) {}, "certificate"},
		{"tls_server_name", named, func(m *replayredis.Redis) { m.TLSServerName = "redis.internal" }, ""},
		{"tls_server_name of another", numbered, func(m *replayredis.Redis) { m.TLSServerName = "redis.internal" }, "certificate"},
		{"another authority", numbered, func(m *replayredis.Redis) { m.TLSCA = other.File }, "certificate"},
		{"the system's authorities", numbered, func(m *replayredis.Redis) { m.TLSCA = "" }, "certificate"},
		{"no certificate", numbered, func(m *replayredis.Redis) { m.TLSClientCert, m.TLSClientKey = "", "" }, "refused"},
		{"no TLS", numbered, func(m *replayredis.Redis) {
			m.TLS, m.TLSCA, m.TLSClientCert, m.TLSClientKey = false, "", "", ""
		}, "refused"},
	} {
		m := secure(tc.server.Addr, byIP)
		m.KeyPrefix = tc.name
		tc.change(m)
		_, _, err := open(t, m).Claim(t.Context(), replay.NewClaim(storetest.Key(1), lease))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) && tc.want != "refused" {
			t.Errorf("%s: error %v, want %q", tc.name, err, tc.want)
		}
	}
}

// Each node of a cluster proves the address that it announces, not the one of the first.
func TestClusterTLS(t *testing.T) {
	t.Parallel()
	authority := fleet.NewAuthority(t)
	certificate := authority.Issue("127.0.0.1")
	c := fleet.StartCluster(t, 3, 0, fleet.Options{TLS: certificate, Flags: []string{"--cluster-node-timeout", "30000"}})
	m := secure(c.Servers[0].Addr, certificate)
	m.Cluster = true
	s := open(t, m)
	for n := range 50 {
		claim, _ := storetest.Claim(t, s, n, lease, replay.Fresh)
		storetest.Must(t, s.Commit(t.Context(), claim, window))
	}
	_, port, _ := strings.Cut(c.Servers[0].Addr, ":")
	byName := secure("localhost:"+port, certificate) // no node has that name
	byName.Cluster, byName.Timeout = true, caddy.Duration(time.Second)
	if _, _, err := open(t, byName).Claim(t.Context(), replay.NewClaim(storetest.Key(100), lease)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error %v", err)
	}
}

// Certificates are renewed without a reload. While a file is half-written, the last good
// one counts.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	authority, next := fleet.NewAuthority(t), fleet.NewAuthority(t)
	old, renewed := authority.Issue("127.0.0.1"), next.Issue("127.0.0.1")
	server := fleet.Start(t, fleet.Options{TLS: old})
	m := secure(server.Addr, old)
	m.Timeout = caddy.Duration(time.Second)
	s := open(t, m)
	claims := func(n int) func() bool {
		return func() bool {
			state, _, err := s.Claim(t.Context(), replay.NewClaim(storetest.Key(n), lease))
			return err == nil && state == replay.Fresh
		}
	}
	eventually(t, "it claims", claims(1))
	good, err := os.ReadFile(old.CA)
	storetest.Must(t, err)
	storetest.Must(t, os.WriteFile(old.CA, good[:len(good)/2], 0o600))
	r := server.Client()
	defer r.Close()
	storetest.Must(t, r.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err())
	eventually(t, "it claims with the file that it read before", claims(2))
	for from, to := range map[string]string{renewed.CA: old.CA, renewed.Cert: old.Cert, renewed.Key: old.Key} {
		pem, err := os.ReadFile(from)
		storetest.Must(t, err)
		storetest.Must(t, os.WriteFile(to, pem, 0o600))
	}
	old.Client.Certificates = renewed.Client.Certificates
	server.Kill()
	server.Start() // with the renewed ones
	eventually(t, "it claims with the renewed certificates", claims(3))
}

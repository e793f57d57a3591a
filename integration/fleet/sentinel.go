package fleet

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Master is the name that the sentinels have for the master.
const Master = "hooks"

// A Watched is a master with replicas and the sentinels that watch it. The first server is
// the master at first.
type Watched struct{ Servers, Sentinels []*Server }

// StartWatched starts a master with replicas and three sentinels. down is when these take a
// server for dead, in milliseconds.
func StartWatched(t testing.TB, replicas, down int, o Options) *Watched {
	t.Helper()
	w := new(Watched)
	for i := range 1 + replicas {
		s := newServer(t, o)
		if i > 0 {
			host, port, _ := net.SplitHostPort(w.Servers[0].Addr)
			s.args = append(s.args, "--replicaof", host+" "+port)
		}
		if o.TLS != nil {
			s.args = append(s.args, "--tls-replication", "yes")
		}
		s.Start()
		w.Servers = append(w.Servers, s)
	}
	for range 3 {
		w.Sentinels = append(w.Sentinels, startSentinel(t, w.Servers[0], down, o))
	}
	w.Ready()
	return w
}

func startSentinel(t testing.TB, master *Server, down int, o Options) *Server {
	t.Helper()
	s := newServer(t, Options{TLS: o.TLS})
	host, port, _ := net.SplitHostPort(master.Addr)
	_, own, _ := net.SplitHostPort(s.own)
	lines := []string{
		"bind 127.0.0.1", "dir " + s.dir, "logfile " + filepath.Join(s.dir, "log"), "requirepass " + Password,
		fmt.Sprintf("sentinel monitor %s %s %s 2", Master, host, port), "sentinel auth-pass " + Master + " " + Password,
		"sentinel sentinel-pass " + Password, fmt.Sprintf("sentinel down-after-milliseconds %s %d", Master, down),
		fmt.Sprintf("sentinel failover-timeout %s %d", Master, 4*down), "sentinel parallel-syncs " + Master + " 2",
	}
	if o.TLS == nil {
		lines = append(lines, "port "+own)
	} else {
		lines = append(lines, "port 0", "tls-port "+own, "tls-replication yes", o.TLS.lines())
	}
	if o.Wires != nil {
		lines = append(lines, "bind-source-addr "+o.Wires.source(t), "sentinel announce-ip 127.0.0.1", "sentinel announce-port "+own)
	}
	file := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{Binary(t), file, "--sentinel"}
	s.Start()
	return s
}

// Ready waits until all sentinels know each other, the master and its replicas.
func (w *Watched) Ready() {
	for _, s := range w.Sentinels {
		s.Until("it knows the others", func(c *redis.Client) bool {
			known, err := c.Do(s.t.Context(), "sentinel", "master", Master).StringSlice()
			return err == nil && value(known, "flags") == "master" && value(known, "num-other-sentinels") == "2" &&
				value(known, "num-slaves") == strconv.Itoa(len(w.Servers)-1)
		})
	}
	for _, s := range w.Servers {
		s.Until("its replicas follow", func(*redis.Client) bool {
			if s.field("role") == "slave" {
				return s.field("master_link_status") == "up"
			}
			return s.field("connected_slaves") == strconv.Itoa(len(w.Servers)-1)
		})
	}
}

// Addrs returns the addresses of the sentinels.
func (w *Watched) Addrs() []string { return addrs(w.Sentinels) }

// Current returns the master that most sentinels name.
func (w *Watched) Current() *Server {
	named := make(map[string]int)
	for _, s := range w.Sentinels {
		c := s.Client()
		at, _ := c.Do(s.t.Context(), "sentinel", "get-master-addr-by-name", Master).StringSlice()
		c.Close()
		named[strings.Join(at, ":")]++
	}
	for _, s := range w.Servers {
		if named[s.Addr] > len(w.Sentinels)/2 {
			return s
		}
	}
	return nil
}

// Successor waits until the sentinels name another master.
func (w *Watched) Successor(gone *Server) (now *Server) {
	until(gone.t, "the sentinels name another master than "+gone.Addr, func() bool {
		now = w.Current()
		return now != nil && now != gone && now.IsMaster()
	}, w.Sentinels[0].log)
	return now
}

// value returns the value of a field in pairs of names and values.
func value(pairs []string, name string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == name {
			return pairs[i+1]
		}
	}
	return ""
}

package fleet

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/webhookauth/caddy-webhook-auth/integration/tools"
)

// slots is how many a cluster has.
const slots = 16384

// A Cluster is a Redis Cluster. Its first servers are the masters at first.
type Cluster struct {
	Servers []*Server
	masters int
}

// StartCluster starts a cluster of masters with as many replicas each, and waits until all
// nodes know it.
func StartCluster(t testing.TB, masters, replicas int, o Options) *Cluster {
	t.Helper()
	c := &Cluster{masters: masters}
	for range masters * (1 + replicas) {
		c.Servers = append(c.Servers, newNode(t, o))
	}
	var all sync.WaitGroup
	for _, s := range c.Servers {
		all.Go(s.Start)
	}
	all.Wait()
	if t.Failed() {
		t.FailNow() // the others would wait for the one that does not run
	}
	for i, s := range c.Servers {
		s.Do("cluster", "set-config-epoch", i+1)
		if i < masters {
			s.Do("cluster", "addslotsrange", i*slots/masters, (i+1)*slots/masters-1)
		}
		s.meet(c.Servers[0])
	}
	for _, s := range c.Servers {
		s.Until("it knows all nodes", func(r *redis.Client) bool {
			info := r.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(c.Servers))+"\r")
		})
	}
	for i, s := range c.Servers[masters:] {
		s.Do("cluster", "replicate", c.Servers[i%masters].Do("cluster", "myid"))
	}
	c.Ready(replicas)
	return c
}

func newNode(t testing.TB, o Options) *Server {
	t.Helper()
	bus := tools.FreePort(t)
	s := newServer(t, o, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-announce-ip", "127.0.0.1",
		"--cluster-port", strconv.Itoa(bus))
	s.bus = strconv.Itoa(bus)
	if o.TLS != nil {
		s.args = append(s.args, "--tls-cluster", "yes", "--tls-replication", "yes")
	}
	if o.Wires != nil {
		_, port, _ := net.SplitHostPort(s.Addr)
		s.bus = o.Wires.attachBus(t, s, bus)
		s.args = append(s.args, "--cluster-announce-port", port, "--cluster-announce-bus-port", s.bus)
	}
	return s
}

func (s *Server) meet(first *Server) {
	host, port, _ := net.SplitHostPort(first.Addr)
	s.Do("cluster", "meet", host, port, first.bus)
}

// Ready waits until the cluster works, each master has its replicas, and all agree.
func (c *Cluster) Ready(replicas int) {
	for _, s := range c.Servers {
		s.Until("the cluster works", func(r *redis.Client) bool {
			info := r.ClusterInfo(s.t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	for _, s := range c.Servers {
		s.Until("its replicas follow", func(*redis.Client) bool {
			if s.field("role") == "slave" {
				return s.field("master_link_status") == "up"
			}
			return s.field("connected_slaves") == strconv.Itoa(replicas)
		})
	}
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string { return addrs(c.Servers) }

// MasterOf returns the server that has the slot of a key.
func (c *Cluster) MasterOf(key string) *Server {
	for _, s := range c.Servers {
		r := s.Client()
		err := r.Exists(s.t.Context(), key).Err() // replicas and other masters send it on
		r.Close()
		if err == nil {
			return s
		}
	}
	return nil
}

// Successor waits until a replica of a master has taken its place.
func (c *Cluster) Successor(gone *Server, before []*Server) *Server {
	var found *Server
	until(gone.t, "another master takes the place of "+gone.Addr, func() bool {
		for _, s := range c.Servers {
			if s != gone && !slices.Contains(before, s) && s.IsMaster() {
				found = s
			}
		}
		return found != nil
	}, gone.log)
	return found
}

// Masters returns the servers that take themselves for masters.
func (c *Cluster) Masters() (all []*Server) {
	for _, s := range c.Servers {
		if s.IsMaster() {
			all = append(all, s)
		}
	}
	return all
}

func addrs(servers []*Server) (all []string) {
	for _, s := range servers {
		all = append(all, s.Addr)
	}
	return all
}

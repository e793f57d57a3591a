package redis_test

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/replay"
	replayredis "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis"
	"github.com/webhookauth/caddy-webhook-auth/integration/fleet"
)

// BenchmarkShards claims and commits deliveries in clusters of several masters, and shows
// the processor time that this process and all masters together take for each. If these do
// not grow with the number of masters, masters add up.
//
//	go test ./caddymodule/replay/redis -run x -bench Shards -benchtime 20000x
func BenchmarkShards(b *testing.B) {
	b.Setenv("FLEET_PASSWORD", fleet.Password)
	for _, masters := range []int{1, 2, 3, 6} {
		b.Run(strconv.Itoa(masters), func(b *testing.B) {
			c := fleet.StartCluster(b, masters, 0, fleet.Options{Flags: []string{"--cluster-node-timeout", "30000"}})
			s := open(b, &replayredis.Redis{
				Addresses: c.Addrs(), Cluster: true, Password: "{env.FLEET_PASSWORD}", Timeout: caddy.Duration(10 * time.Second),
			})
			benchmark(b, s, c.Servers)
		})
	}
	b.Run("no cluster", func(b *testing.B) {
		server := fleet.Start(b, fleet.Options{})
		s := open(b, &replayredis.Redis{Addresses: []string{server.Addr}, Password: "{env.FLEET_PASSWORD}", Timeout: caddy.Duration(10 * time.Second)})
		benchmark(b, s, []*fleet.Server{server})
	})
	b.Run("no cluster, wait_replicas 1", func(b *testing.B) {
		w := fleet.StartWatched(b, 1, 60_000, fleet.Options{})
		s := open(b, &replayredis.Redis{
			Addresses: []string{w.Servers[0].Addr}, Password: "{env.FLEET_PASSWORD}", Timeout: caddy.Duration(10 * time.Second), WaitReplicas: 1,
		})
		benchmark(b, s, w.Servers)
	})
}

func benchmark(b *testing.B, s replay.Store, servers []*fleet.Server) {
	var number atomic.Int64
	deliver := func() {
		c := replay.NewClaim(replay.Key(sha256.Sum256(fmt.Append(nil, number.Add(1)))), lease)
		if state, _, err := s.Claim(b.Context(), c); err != nil || state != replay.Fresh {
			b.Errorf("state %d, error %v", state, err)
		}
		if err := s.Commit(b.Context(), c, window); err != nil {
			b.Error(err)
		}
	}
	for range 200 { // it is connected
		deliver()
	}
	used := func() (all []time.Duration) {
		for _, server := range servers {
			all = append(all, server.Processor())
		}
		return all
	}
	before, own := used(), processorTime()
	b.SetParallelism(8 * len(servers)) // as much at once for each, because a server that has more to do at once does it for less
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			deliver()
		}
	})
	b.StopTimer()
	mine := processorTime() - own
	var sum, most time.Duration
	for i, now := range used() {
		sum += now - before[i]
		most = max(most, now-before[i])
	}
	b.ReportMetric(float64(mine.Nanoseconds())/1000/float64(b.N), "gateway-µs/delivery")
	b.ReportMetric(float64(sum.Nanoseconds())/1000/float64(b.N), "servers-µs/delivery")
	b.ReportMetric(float64(most.Nanoseconds())/1000/float64(b.N), "busiest-µs/delivery")
}

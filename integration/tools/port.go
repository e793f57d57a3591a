package tools

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

var ports struct {
	sync.Mutex
	taken map[int]bool
}

// FreePort returns a port that is free for TCP and UDP. It is below the range from which
// systems choose local ports, so that no client of a parallel test takes it before the
// server starts.
func FreePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = make(map[int]bool)
	}
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if !ports.taken[port] && isFree(port) {
			ports.taken[port] = true
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func isFree(port int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	udp.Close()
	return true
}

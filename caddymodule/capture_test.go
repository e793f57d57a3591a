package caddymodule

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// What is counted of a captured request is at least what it takes, also if it has very many
// tiny fields or values.
func TestCaptureIsCountedInFull(t *testing.T) {
	names, values := make(http.Header), make(http.Header)
	for i := range 20_000 {
		names[fmt.Sprintf("X%d", i)] = []string{fmt.Sprint(i)}
		values.Add("X", fmt.Sprint(i))
	}
	for name, header := range map[string]http.Header{"names": names, "values": values} {
		var before, after runtime.MemStats
		const copies = 5
		var kept []*captured
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range copies {
			c := &captured{delivery: signature.Delivery{Header: make(http.Header)}}
			for field, all := range header { // texts of its own, as a request has
				for _, value := range all {
					c.delivery.Header[string([]byte(field))] = append(c.delivery.Header[field], string([]byte(value)))
				}
			}
			kept = append(kept, c)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		takes := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / copies
		if counted := kept[0].size(); counted < takes || counted > 3*takes {
			t.Errorf("%s: %d bytes are counted, and it takes %d", name, counted, takes)
		}
		runtime.KeepAlive(kept)
	}
}

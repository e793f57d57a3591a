package diagnosis

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// forged returns the trial of a forged request whose body fits every row.
func forged(g *Gate, size int) *trial {
	const start, end = `{"z":"ü😀\/\u001b</","b": "`, `","a":1}`
	body := []byte(start + strings.Repeat("x", size-len(start)-len(end)) + end)
	d := &signature.Delivery{Target: "/a%20b?c", Header: http.Header{"X-Hub-Signature-256": {"sha256=" + strings.Repeat("0", 64)}}}
	t := newTrial(g, d, body)
	for _, stage := range []func() Finding{t.forms, t.values, t.clock, t.url, t.target, t.hashes, t.secrets, t.senders, t.bodies} {
		stage()
	}
	return t
}

// The cost is bounded, and the bounds leave room for every row: for two secrets at the
// size of nearly all deliveries, and for one secret at the largest size.
func TestCostIsBounded(t *testing.T) {
	secrets := []signature.Secret{{Text: "zQ7kV2mXw9Lr4TbN8cJd"}, {Text: "0123456789abcdef"}}
	for _, tc := range []struct{ secrets, size int }{{2, 1 << 10}, {2, 24 << 10}, {1, MaxBody}} {
		for _, payload := range []string{"", "{path_query} {body_sha256}"} {
			tr := forged(NewGate("own", signature.Scheme{Payload: payload}, secrets[:tc.secrets]), tc.size)
			t.Logf("%d secrets, %d bytes: %d MACs over %d bytes", tc.secrets, tc.size, maxMACs-tr.left, maxBytes-tr.bytes)
			if tr.left < 2 || tr.bytes < 2*tc.size {
				t.Errorf("%d secrets, %d bytes: %d MACs and %d bytes are left", tc.secrets, tc.size, tr.left, tr.bytes)
			}
		}
	}
}

// Once a bound is reached, the judge is not asked.
func TestBoundsHold(t *testing.T) {
	body := []byte("body")
	for _, tc := range []struct {
		left, bytes int
		asked       bool
	}{{2, 8, true}, {1, 8, false}, {2, 7, false}, {0, 0, false}} {
		g := NewGate("own", signature.Scheme{}, []signature.Secret{{Text: "zQ7kV2mXw9Lr4TbN8cJd"}, {Text: "0123456789abcdef"}})
		tr := newTrial(g, &signature.Delivery{Header: http.Header{"X-Hub-Signature-256": {"sha256=" + strings.Repeat("0", 64)}}}, body)
		tr.left, tr.bytes = tc.left, tc.bytes
		tr.plainly(&tr.delivery, body)
		if asked := tr.left < tc.left; asked != tc.asked || tr.left < 0 || tr.bytes < 0 {
			t.Errorf("%+v: asked %v, %d MACs and %d bytes are left", tc, asked, tr.left, tr.bytes)
		}
	}
}

// BenchmarkForged measures what a forged request costs.
func BenchmarkForged(b *testing.B) {
	for _, size := range []int{1 << 10, MaxBody} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			g := NewGate("own", signature.Scheme{}, []signature.Secret{{Text: "zQ7kV2mXw9Lr4TbN8cJd"}})
			for b.Loop() {
				forged(g, size)
			}
		})
	}
}

// A list of signatures under a public key costs as many verifications. Of another gate,
// as many as are counted for it are made, whatever the number of its keys and signatures.
func TestVerificationsAreCounted(t *testing.T) {
	var keys []signature.PublicKey
	for i := range 16 {
		key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+i)), ed25519.SeedSize)))
		keys = append(keys, signature.PublicKey{Name: strconv.Itoa(i), Text: hex.EncodeToString(key.Public().(ed25519.PublicKey))})
	}
	scheme := signature.Scheme{Headers: []string{"X-Signature"}, Algorithms: []string{"ed25519"}, Signature: "v1,{hex} ..."}
	named := scheme
	named.KeyID = "X-Key-Id"
	g, other := NewPublicGate("own", scheme, keys[:1]), NewPublicGate("other", named, keys)
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 16: 16} {
		d := &signature.Delivery{Header: http.Header{"X-Signature": {strings.TrimSpace(strings.Repeat("v1,"+strings.Repeat("0", 128)+" ", n))}}}
		tr := newTrial(g, d, []byte("body"))
		tr.plainly(d, tr.body)
		if made := maxVerifications - tr.left; made != want {
			t.Errorf("%d signatures: %d verifications are counted", n, made)
		}
		tr.left = want - 1
		tr.plainly(d, tr.body)
		if tr.left != want-1 {
			t.Errorf("%d signatures: %d verifications are left of %d", n, tr.left, want-1)
		}
		check, err := g.with(other).Begin(d)
		if err != nil { // more than 16 of them
			continue
		}
		if made := check.Verifications(); made != maxSecrets*n || tr.affords(check, 0, 0) != (made <= maxElsewhere) {
			t.Errorf("%d signatures: another gate has %d verifications", n, made)
		}
	}
}

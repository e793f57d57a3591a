package signature_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// BenchmarkVerify sets the verifier beside bare HMAC-SHA256 over the same bytes,
// keyed once and reused: the least that any verifier must do. A scheme with a time
// (Stripe's) stays within 1.2 of X-Hub-Signature.
func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{0, 1 << 10, 64 << 10, 1 << 20} {
		content := bytes.Repeat([]byte("x"), size)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(content)
		fields := hub("sha256=" + hex.EncodeToString(mac.Sum(nil)))
		b.Run(fmt.Sprintf("bare/%d", size), func(b *testing.B) {
			sum := make([]byte, 0, sha256.Size)
			for b.Loop() {
				mac.Reset()
				mac.Write(content)
				mac.Sum(sum)
			}
		})
		b.Run(fmt.Sprintf("verify/%d", size), func(b *testing.B) {
			benchmarkVerifier(b, newVerifier(b, nil, secret), fields, content)
		})
		b.Run(fmt.Sprintf("stripe/%d", size), func(b *testing.B) {
			stripe, _ := signature.FindPreset("stripe")
			at := strconv.FormatInt(time.Now().Unix(), 10)
			value := "t=" + at + ",v1=" + signText(at+"."+string(content))
			benchmarkVerifier(b, compiled(b, stripe.Scheme, secret), http.Header{"Stripe-Signature": {value}}, content)
		})
		b.Run(fmt.Sprintf("second-secret/%d", size), func(b *testing.B) {
			benchmarkVerifier(b, newVerifier(b, nil, "another secret", secret), fields, content)
		})
	}
}

func benchmarkVerifier(b *testing.B, v *signature.Verifier, fields http.Header, content []byte) {
	b.ReportAllocs()
	var again io.WriterTo = held(content)
	d := &signature.Delivery{Header: fields}
	for b.Loop() {
		check, err := v.Begin(d)
		if err != nil {
			b.Fatal(err)
		}
		check.Write(content)
		if _, err := check.End(again); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBegin shows what a hostile field costs: as much as net/http lets in.
func BenchmarkBegin(b *testing.B) {
	v := newVerifier(b, nil, secret)
	for name, value := range map[string]string{
		"no-equals":      strings.Repeat("a", 16<<10),
		"all-equals":     strings.Repeat("=", 16<<10),
		"long-digest":    "sha256=" + strings.Repeat("0", 16<<10),
		"comma-at-end":   "sha256=" + strings.Repeat("0", 16<<10) + ",",
		"not-hex-at-end": "sha256=" + digest[:63] + "g",
	} {
		b.Run(name, func(b *testing.B) { benchmarkRefusal(b, v, hub(value)) })
	}
	stripe, _ := signature.FindPreset("stripe")
	v = compiled(b, stripe.Scheme, secret)
	for name, value := range map[string]string{
		"list-of-signatures": "t=1," + repeated(200, "v1="+wrong, ","),
		"list-of-others":     "t=1," + repeated(4<<10, "v0=", ","),
		"list-of-nothing":    strings.Repeat(",", 16<<10),
		"list-of-blanks":     "t=1," + strings.Repeat(" ", 16<<10),
		"long-time":          "v1=" + wrong + ",t=" + strings.Repeat("1", 16<<10),
	} {
		b.Run(name, func(b *testing.B) { benchmarkRefusal(b, v, http.Header{"Stripe-Signature": {value}}) })
	}
}

func benchmarkRefusal(b *testing.B, v *signature.Verifier, fields http.Header) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Begin(&signature.Delivery{Header: fields}); err == nil {
			b.Fatal("was let through")
		}
	}
}

package signature_test

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// The parameters of the measurement. dudect (Reparaz, Balasch and Verbauwhede, 2017)
// calls a t of more than 10 a leak for sure. A leak is looked for until one that is
// there by construction stands out far more than that.
const (
	timingVariants = 128
	timingSamples  = 1000 // of each class, in one round
	timingCalls    = 4    // in one sample: a clock ticks no finer
	timingRounds   = 2000
	timingAttempts = 4
	leakThreshold  = 10
	leakForSure    = 30
)

// Two classes of forged deliveries. What tells them apart would tell a forger how
// much of a guessed digest is right.
const (
	firstWrong = iota
	lastWrong
)

// TestTiming: a digest of which the first byte is wrong is refused in the same time
// as one of which only the last one is, by Welch's t over calls that alternate at
// random. Between them come the same calls with a comparison that ends at the first
// difference. How much a measurement is worth depends on what else the machine does
// meanwhile, so it goes on until that one is found out, and only then is the
// verifier judged. A leak would show in each attempt; the quietest one counts.
func TestTiming(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its clock ticks too coarsely to see a comparison")
	}
	v := newVerifier(t, []string{"sha512"}, secret)
	forged := forgedDigests()
	call := func(naive bool) func(int, int) {
		return func(class, variant int) { refuse(t, v, forged[class][variant], naive) }
	}
	quietest := math.Inf(1)
	for range timingAttempts {
		honest, control := attempt(call(false), call(true))
		t.Logf("|t|: verifier %.1f, with a comparison that leaks %.1f", honest, control)
		if control < leakForSure {
			t.Fatalf("|t| is only %.1f for a comparison that leaks: the measurement is worth nothing", control)
		}
		if quietest = min(quietest, honest); quietest < leakThreshold {
			return
		}
	}
	t.Errorf("|t| is at least %.1f: the time tells where the first wrong byte is", quietest)
}

// attempt measures until the control is found out, and returns |t| of both.
func attempt(honest, control func(class, variant int)) (honestT, controlT float64) {
	var honestSum, controlSum evidence
	for range timingRounds {
		var honestTimes, controlTimes [2][]float64
		for range 2 * timingSamples {
			measure(&honestTimes, honest)
			measure(&controlTimes, control)
		}
		honestSum.add(crop(honestTimes))
		controlSum.add(crop(controlTimes))
		if controlSum.t() >= leakForSure {
			break
		}
	}
	return honestSum.t(), controlSum.t()
}

// A forgery is a digest with one wrong byte, and the field that carries it.
type forgery struct {
	fields  http.Header
	claimed []byte
}

var rightDigest = func() []byte {
	mac := hmac.New(sha512.New, []byte(secret))
	io.WriteString(mac, body)
	return mac.Sum(nil)
}()

// forgedDigests are many of each class, so that it does not count where in memory
// one of them lies.
func forgedDigests() (forged [2][timingVariants]forgery) {
	for variant := range timingVariants {
		for class, at := range []int{firstWrong: 0, lastWrong: len(rightDigest) - 1} {
			claimed := slices.Clone(rightDigest)
			claimed[at] ^= byte(1 + rand.IntN(255))
			forged[class][variant] = forgery{hub("sha512=" + hex.EncodeToString(claimed)), claimed}
		}
	}
	return forged
}

// refuse runs one forged delivery through v, and beside it, where naive, the
// comparison that everybody writes first.
func refuse(t *testing.T, v *signature.Verifier, f forgery, naive bool) {
	if _, err := verify(v, f.fields, body); !errors.Is(err, refusal.SignatureMismatch) {
		t.Fatal(err)
	}
	if naive && naiveEqual(f.claimed, rightDigest) {
		t.Fatal("equal")
	}
}

//go:noinline
func naiveEqual(a, b []byte) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// measure adds one sample to a class chosen at random.
func measure(times *[2][]float64, call func(class, variant int)) {
	class, variant := rand.IntN(2), rand.IntN(timingVariants)
	start := time.Now()
	for range timingCalls {
		call(class, variant)
	}
	times[class] = append(times[class], float64(time.Since(start)))
}

// crop drops the slower half, which is what the machine did meanwhile. The bound is
// one for both classes.
func crop(times [2][]float64) [2][]float64 {
	sorted := slices.Sorted(slices.Values(slices.Concat(times[0], times[1])))
	bound := sorted[len(sorted)/2]
	var kept [2][]float64
	for class := range times {
		for _, d := range times[class] {
			if d <= bound {
				kept[class] = append(kept[class], d)
			}
		}
	}
	return kept
}

// welch returns the difference of the means and the square of its standard error.
func welch(samples [2][]float64) (difference, squaredError float64) {
	var mean [2]float64
	for i, s := range samples {
		for _, x := range s {
			mean[i] += x / float64(len(s))
		}
		for _, x := range s {
			squaredError += (x - mean[i]) * (x - mean[i]) / float64(len(s)-1) / float64(len(s))
		}
	}
	return mean[0] - mean[1], squaredError
}

// evidence is what rounds say together. Each counts by how sure it is: one in which
// the machine did something else says little.
type evidence struct{ weighted, weight float64 }

func (e *evidence) add(samples [2][]float64) {
	difference, squaredError := welch(samples)
	e.weighted += difference / squaredError
	e.weight += 1 / squaredError
}

// t is the absolute of Welch's t.
func (e *evidence) t() float64 { return math.Abs(e.weighted) / math.Sqrt(e.weight) }

// TestWelch checks the measurement's arithmetic with an example of known outcome:
// the means are 3 and 6, the variances 2.5 and 10, of 5 values each. Twice the same
// is surer by the square root of two.
func TestWelch(t *testing.T) {
	var e evidence
	want := 3 / math.Sqrt(2.5/5+10.0/5)
	for range 2 {
		e.add([2][]float64{{1, 2, 3, 4, 5}, {2, 4, 6, 8, 10}})
		if math.Abs(e.t()-want) > 1e-12 {
			t.Errorf("t is %v, want %v", e.t(), want)
		}
		want *= math.Sqrt2
	}
}

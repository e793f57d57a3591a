package signature_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/refusal"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

type pair struct{ R, S *big.Int }

func der(r, s *big.Int) []byte {
	out, err := asn1.Marshal(pair{r, s})
	if err != nil {
		panic(err)
	}
	return out
}

// oracleDER reads a signature with encoding/asn1. It ignores bytes behind the numbers,
// which writing them again shows.
func oracleDER(sig []byte) (r, s *big.Int, err error) {
	var p pair
	rest, err := asn1.Unmarshal(sig, &p)
	if err != nil {
		return nil, nil, err
	}
	if len(rest) > 0 || !bytes.Equal(der(p.R, p.S), sig) {
		return nil, nil, errors.New("not the one form")
	}
	return p.R, p.S, nil
}

// What the verifier takes for the form of a signature is what encoding/asn1 takes, with
// numbers from 1 to the order less one. Only then is a body read.
func FuzzDER(f *testing.F) {
	curve := elliptic.P256()
	key := newECDSA(curve)().(*ecdsa.PrivateKey)
	v := publicVerifier(f, publicScheme("ecdsa-p256-sha256"), spki(f, key.Public()))
	order := curve.Params().N
	one, less := big.NewInt(1), new(big.Int).Sub(order, big.NewInt(1))
	f.Add(signed(f, "ecdsa-p256-sha256", key, body))
	for _, r := range []*big.Int{one, less, order, big.NewInt(0), big.NewInt(-1), big.NewInt(127), big.NewInt(128), big.NewInt(255), big.NewInt(256)} {
		f.Add(der(r, one))
		f.Add(der(one, r))
		f.Add(append(der(r, r), 0))
	}
	for _, set := range wycheproof(f) {
		for _, g := range set.Groups {
			for _, tc := range g.Tests {
				sig, _ := hex.DecodeString(tc.Sig)
				f.Add(sig)
			}
		}
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		_, err := v.Begin(&signature.Delivery{Header: inField(sig)})
		r, s, oracle := oracleDER(sig)
		want := oracle == nil && r.Sign() > 0 && s.Sign() > 0 && r.Cmp(order) < 0 && s.Cmp(order) < 0
		if (err == nil) != want {
			t.Fatalf("%x: %v, the oracle says %v", sig, err, oracle)
		}
		if err != nil && !errors.Is(err, refusal.MalformedSignature) {
			t.Fatalf("%x: %v", sig, err)
		}
	})
}

// A raw signature is what the same numbers are in DER.
func FuzzRaw(f *testing.F) {
	curve := elliptic.P384()
	key := newECDSA(curve)().(*ecdsa.PrivateKey)
	scheme := publicScheme("ecdsa-p384-sha384")
	scheme.Signature = "{raw_base64}"
	v := publicVerifier(f, scheme, spki(f, key.Public()))
	order := curve.Params().N
	hashed := [48]byte{1}
	r, s, err := ecdsa.Sign(zeroes{}, key, hashed[:])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...))
	f.Add(make([]byte, 96))
	f.Add(bytes.Repeat([]byte{0xff}, 96))
	f.Add(bytes.Repeat([]byte{0x80}, 96))
	f.Add(append(make([]byte, 47), append([]byte{1}, append(make([]byte, 47), 1)...)...))
	f.Fuzz(func(t *testing.T, sig []byte) {
		_, err := v.Begin(&signature.Delivery{Header: inField(sig)})
		want := len(sig) == 96
		if want {
			r, s := new(big.Int).SetBytes(sig[:48]), new(big.Int).SetBytes(sig[48:])
			want = r.Sign() > 0 && s.Sign() > 0 && r.Cmp(order) < 0 && s.Cmp(order) < 0
		}
		if (err == nil) != want {
			t.Fatalf("%x: %v", sig, err)
		}
	})
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A wycheproofSet is one file of testdata/wycheproof.json.
type wycheproofSet struct {
	Source, Algorithm string
	Groups            []struct {
		Key   string // SPKI in hex
		Tests []struct {
			ID                        int
			Comment, Msg, Sig, Result string
		}
	}
}

func wycheproof(t testing.TB) []wycheproofSet {
	t.Helper()
	var sets []wycheproofSet
	load(t, "wycheproof.json", &sets)
	return sets
}

// Project Wycheproof knows what implementations got wrong. What it calls acceptable is
// not accepted here.
func TestWycheproof(t *testing.T) {
	seen := make(map[string]map[bool]int)
	for _, set := range wycheproof(t) {
		seen[set.Algorithm] = make(map[bool]int)
		for _, group := range set.Groups {
			spki, err := hex.DecodeString(group.Key)
			if err != nil {
				t.Fatal(err)
			}
			v := publicVerifier(t, publicScheme(set.Algorithm), base64.StdEncoding.EncodeToString(spki))
			for _, tc := range group.Tests {
				msg, err := hex.DecodeString(tc.Msg)
				if err != nil {
					t.Fatal(err)
				}
				sig, err := hex.DecodeString(tc.Sig)
				if err != nil {
					t.Fatal(err)
				}
				_, err = verify(v, inField(sig), string(msg))
				if (err == nil) != (tc.Result == "valid") {
					t.Errorf("%s, %d (%s): %v, want %s", set.Source, tc.ID, tc.Comment, err, tc.Result)
				}
				seen[set.Algorithm][err == nil]++
			}
		}
	}
	for _, algorithm := range []string{"ed25519", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "rsa-v1_5-sha256", "rsa-v1_5-sha512", "rsa-pss-sha512"} {
		if seen[algorithm][true] < 2 || seen[algorithm][false] < 2 && algorithm != "rsa-pss-sha512" {
			t.Errorf("%s: %d accepted, %d refused", algorithm, seen[algorithm][true], seen[algorithm][false])
		}
	}
}

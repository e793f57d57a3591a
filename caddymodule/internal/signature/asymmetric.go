package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// An asymmetric is how a public key verifies: the second half of a row of the table
// of algorithms.
type asymmetric struct {
	// check says why a key is not one of this algorithm, or returns how many bytes its
	// signatures have at most.
	check func(crypto.PublicKey) (int, error)
	// form converts a signature, in place, into what verify takes, and returns its
	// length. It refuses a signature that no key could have made, before a byte of the
	// body is read. raw signatures are r and s, one behind the other.
	form func(signature []byte, n int, raw bool) (int, bool)
	// verify takes the hash of what was signed or, without one, the message. Only
	// errMismatch says that the key could verify another signature.
	verify func(key crypto.PublicKey, message, signature []byte) error
	hash   crypto.Hash // for the dummy that a key is tried with; 0: none
	pairs  bool        // signatures are two numbers, which can be written raw
}

// errMismatch is the error of a signature that is not of the key.
var errMismatch = errors.New("the signature does not match")

var ed = asymmetric{check: checkEd25519, form: formEd25519, verify: verifyEd25519}

var (
	p256 = ecdsaOver(elliptic.P256(), crypto.SHA256)
	p384 = ecdsaOver(elliptic.P384(), crypto.SHA384)
)

func verifyEd25519(key crypto.PublicKey, message, signature []byte) error {
	if ed25519.Verify(key.(ed25519.PublicKey), message, signature) {
		return nil
	}
	return errMismatch
}

// groupOrder is L of RFC 8032, section 5.1, with the lowest byte first.
var groupOrder = [32]byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	31: 0x10,
}

// formEd25519 refuses an S that is not reduced (RFC 8032, section 8.4).
func formEd25519(signature []byte, n int, _ bool) (int, bool) {
	return n, n == ed25519.SignatureSize && lessLittle(signature[32:n], groupOrder[:])
}

// lessLittle compares numbers of one length, with the lowest byte first.
func lessLittle(a, b []byte) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// smallOrder holds y of the points whose order is 8 or less, without the bit of x. Under
// such a key one signature is that of many messages: of 01 00…, of all.
var smallOrder = [][32]byte{
	{},
	{0: 1},
	{
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
}

// fieldPrime is p of RFC 8032, section 5.1, with the lowest byte first.
var fieldPrime = [32]byte{
	0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
}

// checkEd25519 refuses what crypto/ed25519 loads and no sender has made.
func checkEd25519(key crypto.PublicKey) (int, error) {
	public, ok := key.(ed25519.PublicKey)
	if !ok {
		return 0, wrongKey(key, "an Ed25519 key")
	}
	y := [32]byte(public)
	y[31] &= 0x7f
	for _, small := range smallOrder {
		if y == small {
			return 0, errors.New("is a point of small order, under which anyone can sign; take the key from the sender's settings again")
		}
	}
	switch {
	case bytes.Count(public, public[:1]) == len(public):
		return 0, errors.New("is one byte over and over, which no sender uses; take the key from the sender's settings again")
	case !lessLittle(y[:], fieldPrime[:]):
		return 0, errors.New("is not written as RFC 8032 writes a key; take the key from the sender's settings again")
	case !isPoint(y):
		return 0, errors.New("is no point of the curve, so that no signature could match; take the key from the sender's settings again")
	}
	return ed25519.SignatureSize, nil
}

// isPoint reports whether the curve has a point with that y: whether (y^2-1)/(dy^2+1) is a
// square (RFC 8032, section 5.1.3). crypto/ed25519 does not tell such a key from a
// signature that does not match.
func isPoint(y [32]byte) bool {
	p, one := littleEndian(fieldPrime), big.NewInt(1)
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	square := littleEndian(y)
	square.Mul(square, square)
	u := new(big.Int).Sub(square, one)
	v := new(big.Int).Mul(square, d)
	return big.Jacobi(u.Mul(u, v.Add(v, one)).Mod(u, p), p) >= 0
}

func littleEndian(number [32]byte) *big.Int {
	slices.Reverse(number[:])
	return new(big.Int).SetBytes(number[:])
}

// ecdsaOver is ECDSA over one curve. Its signatures are in DER, strictly.
func ecdsaOver(curve elliptic.Curve, hash crypto.Hash) asymmetric {
	params := curve.Params()
	size := (params.BitSize + 7) / 8
	order := params.N.FillBytes(make([]byte, size))
	return asymmetric{
		hash: hash, pairs: true,
		check: func(key crypto.PublicKey) (int, error) {
			if public, ok := key.(*ecdsa.PublicKey); !ok || public.Curve != curve {
				return 0, wrongKey(key, "an ECDSA key on "+params.Name)
			}
			return maxDER(size), nil
		},
		form: func(signature []byte, n int, raw bool) (int, bool) {
			return formPair(signature, n, order, raw)
		},
		verify: func(key crypto.PublicKey, hashed, signature []byte) error {
			if ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), hashed, signature) {
				return nil
			}
			return errMismatch
		},
	}
}

func pkcs1(hash crypto.Hash) *asymmetric {
	return &asymmetric{hash: hash, check: checkRSA, form: formRSA, verify: func(key crypto.PublicKey, hashed, signature []byte) error {
		return mismatch(rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), hash, hashed, signature))
	}}
}

// pss takes a salt as long as the hash (RFC 9421, section 3.3.1), and no other one.
func pss(hash crypto.Hash) *asymmetric {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return &asymmetric{hash: hash, check: checkRSA, form: formRSA, verify: func(key crypto.PublicKey, hashed, signature []byte) error {
		return mismatch(rsa.VerifyPSS(key.(*rsa.PublicKey), hash, hashed, signature, options))
	}}
}

func mismatch(err error) error {
	if errors.Is(err, rsa.ErrVerification) {
		return errMismatch
	}
	return err
}

// formRSA cannot say more than the length, which is judged beside it.
func formRSA(_ []byte, n int, _ bool) (int, bool) { return n, true }

// Bounds of an RSA key. Less is broken or not trusted; more costs whoever verifies, 12 ms
// for 16384 bits, and an exponent of one verifies everything.
const (
	minRSA         = 2048
	maxRSA         = 8192
	usualExponent  = 65537
	maxRSAExponent = 1<<31 - 1
)

func checkRSA(key crypto.PublicKey) (int, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return 0, wrongKey(key, "an RSA key")
	}
	switch bits := public.N.BitLen(); {
	case bits < minRSA:
		return 0, fmt.Errorf("has %d bits, and RSA keys of less than %d can be broken; ask the sender for a longer one", bits, minRSA)
	case bits > maxRSA:
		return 0, fmt.Errorf("has %d bits, and at most %d are taken: each forged request costs a verification", bits, maxRSA)
	case public.N.Bit(0) == 0:
		return 0, errors.New("has an even modulus, which no RSA key has; take the key from the sender's settings again")
	case public.E < 3 || public.E > maxRSAExponent || public.E%2 == 0:
		return 0, fmt.Errorf("has the exponent %d; it must be odd, from 3 to 2^31-1, and is 65537 with most", public.E)
	}
	return public.Size(), nil
}

// errWrongKey is a key of another type or curve than the algorithm's.
type errWrongKey struct{ key, want string }

func (e errWrongKey) Error() string { return "is " + e.key + ", and this algorithm takes " + e.want }

func wrongKey(key crypto.PublicKey, want string) error { return errWrongKey{typeOf(key), want} }

func typeOf(key crypto.PublicKey) string {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return "an Ed25519 key"
	case *ecdsa.PublicKey:
		return "an ECDSA key on " + key.Params().Name
	case *rsa.PublicKey:
		return "an RSA key"
	}
	return fmt.Sprintf("a key of type %T", key)
}

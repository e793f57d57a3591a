package signature_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// ask shows the whole way of a delivery: the header section, the body as it comes,
// the verdict.
func ask(v *signature.Verifier, d *signature.Delivery, body string) (signature.Match, error) {
	check, err := v.Begin(d)
	if err != nil {
		return signature.Match{}, err
	}
	_, _ = check.Write([]byte(body))
	return check.End(held(body)) // it is written again for each further secret
}

// The zero Scheme is X-Hub-Signature. The values are those that GitHub publishes to
// test with.
func Example() {
	v, err := signature.New(signature.Scheme{}, []signature.Secret{
		{Name: "new", Text: "which no delivery is signed with as yet"},
		{Name: "old", Text: "It's a Secret to Everybody"},
	})
	if err != nil {
		panic(err)
	}
	d := &signature.Delivery{Header: http.Header{
		"X-Hub-Signature-256": {"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
	}}
	match, err := ask(v, d, "Hello, World!")
	fmt.Println(match.Secret, match.Algorithm, err)
	_, err = ask(v, d, "Hello, World?")
	fmt.Println(err)
	// Output:
	// old sha256 <nil>
	// signature_mismatch
}

// Stripe signs the time, which stands in the field beside the signatures.
func ExampleScheme_stripe() {
	v, err := signature.New(signature.Scheme{
		Headers:   []string{"Stripe-Signature"},
		Signature: "t={ts},v1={hex}",
		Payload:   "{ts}.{body}",
	}, []signature.Secret{{Name: "1", Text: "wk-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}})
	if err != nil {
		panic(err)
	}
	signed := time.Unix(1760000000, 0)
	d := &signature.Delivery{Now: signed.Add(time.Minute), Header: http.Header{
		"Stripe-Signature": {"t=1760000000,v1=711edf7d7fb5f480e45e8ba60cd6c28f11f164f9ad8962074e019be3846b1d0b,v0=something-older"},
	}}
	const body = `{"eventType":"test","eventData":{"text":"héllo ✓"}}`
	match, err := ask(v, d, body)
	fmt.Println(match.Algorithm, err)
	d.Now = signed.Add(time.Hour)
	_, err = ask(v, d, body)
	fmt.Println(err)
	// Output:
	// sha256 <nil>
	// timestamp_out_of_range
}

// Standard Webhooks has the id and the time in fields of their own, and signs both.
func ExampleFindPreset() {
	preset, _ := signature.FindPreset("standard-webhooks")
	fmt.Println(preset.Scheme.Signature)
	fmt.Println(preset.Scheme.Payload)
	v, err := signature.New(preset.Scheme, []signature.Secret{{Name: "1", Text: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"}})
	if err != nil {
		panic(err)
	}
	d := &signature.Delivery{Now: time.Unix(1760000000, 0), Header: http.Header{
		"Webhook-Id":        {"msg_2Lml7x"},
		"Webhook-Timestamp": {"1760000000"},
		"Webhook-Signature": {"v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= v1,jQWwsS8ae1wW3We72T+iGGhk3IuIh8Fvaw2H9wO0JAo="},
	}}
	const body = `{"eventType":"test","eventData":{"text":"héllo ✓"}}`
	match, err := ask(v, d, body)
	fmt.Println(match.Algorithm, err)
	d.Header.Set("Webhook-Id", "msg_another") // it is signed too
	_, err = ask(v, d, body)
	fmt.Println(err)
	// Output:
	// v1,{base64} ...
	// {header.webhook-id}.{ts}.{body}
	// sha256 <nil>
	// signature_mismatch
}

// A scheme that signs too little, or that could be read in two ways, does not
// compile. All that is wrong is said at once, and where.
func ExampleScheme_Validate() {
	fmt.Println(signature.Scheme{Timestamp: "X-Time"}.Validate())
	fmt.Println(signature.Scheme{Payload: "{header.X-Id}{body}"}.Validate())
	fmt.Println(signature.Scheme{Signature: "v1={hex},v1={base64}", Algorithms: []string{"md5"}}.Validate())
	// Output:
	// timestamp: the time is not signed: {ts} is not in the payload; write for example: payload {ts}.{body}
	// payload: "{header.X-Id}{body}": text is needed between a {header.NAME}, {nonce} or {method} and the {body}, field or method beside it; without, bytes can be moved from one to the other
	// signature: "v1={hex},v1={base64}": position 13: a second digest; write '...' for a list of them
	// algorithms: unknown algorithm "md5"; write sha256, sha384, sha512 or sha1 (sha1 only where it is named), or with public_key ed25519, ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-v1_5-sha256, rsa-v1_5-sha512 or rsa-pss-sha512
}

package signature

import "time"

// A Preset is a scheme by the name of a sender that uses it. Each has a delivery in
// testdata and a row in the README; a test keeps the three equal.
type Preset struct {
	Name   string
	Scheme Scheme
	// Challenge is the kind of signed challenge that the sender makes, if any.
	Challenge string
}

var presets = []Preset{
	{Name: "hub"},
	{Name: "github", Scheme: Scheme{Headers: []string{"X-Hub-Signature-256"}, Algorithms: []string{"sha256"}}},
	{Name: "standard-webhooks", Scheme: Scheme{
		Headers: []string{"webhook-signature"}, Signature: "v1,{base64} ...", Payload: "{header.webhook-id}.{ts}.{body}",
		Timestamp: "webhook-timestamp", SecretEncoding: "base64", SecretPrefix: "whsec_",
	}},
	{Name: "stripe", Scheme: Scheme{Headers: []string{"Stripe-Signature"}, Signature: "t={ts},v1={hex}", Payload: "{ts}.{body}"}},
	{Name: "slack", Challenge: "slack", Scheme: Scheme{
		Headers: []string{"X-Slack-Signature"}, Signature: "v0={hex}", Payload: "v0:{ts}:{body}", Timestamp: "X-Slack-Request-Timestamp",
	}},
	{Name: "box", Scheme: Scheme{
		Headers: []string{"BOX-SIGNATURE-PRIMARY", "BOX-SIGNATURE-SECONDARY"}, AnyHeader: true, Signature: "{base64}",
		Payload: "{body}{ts}", Timestamp: "BOX-DELIVERY-TIMESTAMP", TimestampUnit: "rfc3339", Tolerance: 10 * time.Minute,
	}},
}

// FindPreset returns the preset of that name.
func FindPreset(name string) (Preset, bool) {
	for _, p := range presets {
		if p.Name == name {
			return p, true
		}
	}
	return Preset{}, false
}

// Presets returns all of them.
func Presets() []Preset { return presets }

package signature

import "strings"

// The defaults of a [Scheme] are the X-Hub-Signature scheme, see also [DefaultHeaders].
const (
	DefaultSignature = "{alg}={hex}"
	DefaultPayload   = "{body}"
)

// WithDefaults returns s with the default fields, pattern, payload and algorithms in the
// place of empty ones. With a token there is neither a usual field nor an algorithm.
func (s Scheme) WithDefaults() Scheme {
	if s.Tokens() {
		return s.Or(Scheme{Payload: DefaultPayload})
	}
	s = s.Or(Scheme{Headers: DefaultHeaders, Signature: DefaultSignature, Payload: DefaultPayload})
	if len(s.Algorithms) == 0 {
		s.Algorithms = standard(strings.HasPrefix(s.Signature, "{alg}"))
	}
	return s
}

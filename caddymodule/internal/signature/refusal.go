package signature

import "net/http"

// A Refusal is the reason why a request is not let through. The set is closed:
// the same word is the log field, the placeholder and the metric label, and no
// part of it ever comes from the request.
type Refusal string

// The reasons that the signature itself gives. All of them answer 401 with the
// same text, so that the sender of a forged request cannot tell how far it got.
const (
	MissingSignature    Refusal = "missing_signature"
	AmbiguousSignature  Refusal = "ambiguous_signature"
	MalformedSignature  Refusal = "malformed_signature"
	AlgorithmNotAllowed Refusal = "algorithm_not_allowed"
	SignatureMismatch   Refusal = "signature_mismatch"
	TimestampMissing    Refusal = "timestamp_missing"
	TimestampMalformed  Refusal = "timestamp_malformed"
	TimestampOutOfRange Refusal = "timestamp_out_of_range"
)

// The reasons that the request around the signature gives.
const (
	BodyTooLarge     Refusal = "body_too_large"
	BodyIncomplete   Refusal = "body_incomplete"
	BodyTimeout      Refusal = "body_timeout"
	EarlyData        Refusal = "early_data"
	MethodNotAllowed Refusal = "method_not_allowed"
	Incremental      Refusal = "incremental"
	Overloaded       Refusal = "overloaded"
	Internal         Refusal = "internal_error"
)

// The reasons that the replay guard gives.
const (
	Duplicate         Refusal = "duplicate"
	InFlight          Refusal = "in_flight"
	ReplayUnavailable Refusal = "replay_unavailable"
)

// NoApp is an authentic delivery that no handler behind the gate answered.
const NoApp Refusal = "no_app"

// statuses is the table of all refusals and their HTTP status codes. 401 rather
// than 403 for a bad signature: some senders (Xero, Discord) probe an endpoint
// with one and insist on it, and every sender's delivery page shows it as what
// it is. 200 for what was delivered before: a sender that repeats itself, because
// the first answer came too late, is content and stops.
var statuses = map[Refusal]int{
	MissingSignature:    http.StatusUnauthorized,
	AmbiguousSignature:  http.StatusUnauthorized,
	MalformedSignature:  http.StatusUnauthorized,
	AlgorithmNotAllowed: http.StatusUnauthorized,
	SignatureMismatch:   http.StatusUnauthorized,
	TimestampMissing:    http.StatusUnauthorized,
	TimestampMalformed:  http.StatusUnauthorized,
	TimestampOutOfRange: http.StatusUnauthorized,
	BodyTooLarge:        http.StatusRequestEntityTooLarge,
	BodyIncomplete:      http.StatusBadRequest,
	BodyTimeout:         http.StatusRequestTimeout,
	EarlyData:           http.StatusTooEarly,
	MethodNotAllowed:    http.StatusMethodNotAllowed,
	Incremental:         http.StatusNotImplemented,
	Overloaded:          http.StatusServiceUnavailable,
	Duplicate:           http.StatusOK,
	InFlight:            http.StatusConflict,
	ReplayUnavailable:   http.StatusServiceUnavailable,
	NoApp:               http.StatusBadGateway,
	Internal:            http.StatusInternalServerError,
}

// Error returns the reason's name, for instance "signature_mismatch".
func (r Refusal) Error() string { return string(r) }

// Status returns the HTTP status code that answers r. A refusal that is missing
// from the table is an internal error: it still refuses.
func (r Refusal) Status() int {
	if code, ok := statuses[r]; ok {
		return code
	}
	return http.StatusInternalServerError
}

// Refusals returns every reason of the closed set, in no particular order.
func Refusals() []Refusal {
	all := make([]Refusal, 0, len(statuses))
	for r := range statuses {
		all = append(all, r)
	}
	return all
}

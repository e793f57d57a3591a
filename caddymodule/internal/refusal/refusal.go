// Package refusal is the closed set of reasons for which a request is not let through.
package refusal

import "net/http"

// A Reason is why a request is not let through. The set is closed:
// the same word is the log field, the placeholder and the metric label, and no
// part of it ever comes from the request.
type Reason string

// The reasons that the signature itself gives. All of them answer 401 with the
// same text, so that the sender of a forged request cannot tell how far it got.
const (
	MissingSignature    Reason = "missing_signature"
	AmbiguousSignature  Reason = "ambiguous_signature"
	MalformedSignature  Reason = "malformed_signature"
	AlgorithmNotAllowed Reason = "algorithm_not_allowed"
	KeyUnknown          Reason = "key_unknown"
	SignatureMismatch   Reason = "signature_mismatch"
	TimestampMissing    Reason = "timestamp_missing"
	TimestampMalformed  Reason = "timestamp_malformed"
	TimestampOutOfRange Reason = "timestamp_out_of_range"
)

// The reasons that the request around the signature gives.
const (
	BodyTooLarge     Reason = "body_too_large"
	BodyIncomplete   Reason = "body_incomplete"
	BodyTimeout      Reason = "body_timeout"
	EarlyData        Reason = "early_data"
	MethodNotAllowed Reason = "method_not_allowed"
	Incremental      Reason = "incremental"
	Overloaded       Reason = "overloaded"
	Internal         Reason = "internal_error"
)

// The reasons that the replay guard gives.
const (
	Duplicate         Reason = "duplicate"
	InFlight          Reason = "in_flight"
	ReplayUnavailable Reason = "replay_unavailable"
)

// NoApp is an authentic delivery that no handler behind the gate answered.
const NoApp Reason = "no_app"

// statuses is the table of all refusals and their HTTP status codes. 401 rather
// than 403 for a bad signature: some senders (Xero, Discord) probe an endpoint
// with one and insist on it, and every sender's delivery page shows it as what
// it is. 200 for what was delivered before: a sender that repeats itself, because
// the first answer came too late, is content and stops.
var statuses = map[Reason]int{
	MissingSignature:    http.StatusUnauthorized,
	AmbiguousSignature:  http.StatusUnauthorized,
	MalformedSignature:  http.StatusUnauthorized,
	AlgorithmNotAllowed: http.StatusUnauthorized,
	KeyUnknown:          http.StatusUnauthorized,
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
func (r Reason) Error() string { return string(r) }

// Status returns the HTTP status code that answers r. A refusal that is missing
// from the table is an internal error: it still refuses.
func (r Reason) Status() int {
	if code, ok := statuses[r]; ok {
		return code
	}
	return http.StatusInternalServerError
}

// All returns every reason of the closed set, in no particular order.
func All() []Reason {
	all := make([]Reason, 0, len(statuses))
	for r := range statuses {
		all = append(all, r)
	}
	return all
}

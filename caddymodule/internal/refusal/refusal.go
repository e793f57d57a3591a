// Package refusal holds the closed set of reasons why a request is refused.
package refusal

import "net/http"

// A Reason is why a request is refused. The same word is the log field, the placeholder
// and the metric label. The set is closed: no part of a reason ever comes from the
// request.
type Reason string

// Reasons in the signature itself. All of them are answered with the same 401, so that
// the sender of a forged request cannot see how far it got.
const (
	MissingSignature    Reason = "missing_signature"
	AmbiguousSignature  Reason = "ambiguous_signature"
	MalformedSignature  Reason = "malformed_signature"
	AlgorithmNotAllowed Reason = "algorithm_not_allowed"
	KeyUnknown          Reason = "key_unknown"
	SignatureMismatch   Reason = "signature_mismatch"
	TenantUnknown       Reason = "tenant_unknown"
	TimestampMissing    Reason = "timestamp_missing"
	TimestampMalformed  Reason = "timestamp_malformed"
	TimestampOutOfRange Reason = "timestamp_out_of_range"
)

// Reasons at a gate with tokens. They are answered like those of a signature.
const (
	TokenMissing   Reason = "token_missing"
	TokenAmbiguous Reason = "token_ambiguous"
	TokenMismatch  Reason = "token_mismatch"
)

// Reasons in the rest of the request, or in the gateway.
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

// Reasons of the replay guard.
const (
	Duplicate         Reason = "duplicate"
	InFlight          Reason = "in_flight"
	ReplayUnavailable Reason = "replay_unavailable"
)

// NoApp means that no handler behind the gate answered an authentic delivery.
const NoApp Reason = "no_app"

// statuses maps every reason to its HTTP status code. A bad signature is 401 and not
// 403, because some senders (Xero, Discord) probe an endpoint with one and insist on
// 401, and every sender's delivery page shows it for what it is. A duplicate is 200, so
// that a sender that repeats a delivery because the first answer came too late stops.
var statuses = map[Reason]int{
	MissingSignature:    http.StatusUnauthorized,
	AmbiguousSignature:  http.StatusUnauthorized,
	MalformedSignature:  http.StatusUnauthorized,
	AlgorithmNotAllowed: http.StatusUnauthorized,
	KeyUnknown:          http.StatusUnauthorized,
	SignatureMismatch:   http.StatusUnauthorized,
	TenantUnknown:       http.StatusUnauthorized,
	TimestampMissing:    http.StatusUnauthorized,
	TimestampMalformed:  http.StatusUnauthorized,
	TimestampOutOfRange: http.StatusUnauthorized,
	TokenMissing:        http.StatusUnauthorized,
	TokenAmbiguous:      http.StatusUnauthorized,
	TokenMismatch:       http.StatusUnauthorized,
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

// Status returns the HTTP status code that answers r. A reason that is missing from the
// table gets 500: it still refuses.
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

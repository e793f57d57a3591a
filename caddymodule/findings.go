package caddymodule

import (
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"
)

// A severity says what becomes of a configuration with a finding.
type severity string

const (
	asError   severity = "error"   // certain: it does not load
	asWarning severity = "warning" // may be meant: it loads, and the log shows the finding
	asNote    severity = "note"    // nothing is wrong
)

// A kind names a finding.
type kind string

const (
	nothingBehind      kind = "nothing_behind"
	onlyErrorsBehind   kind = "only_errors_behind"
	neverMet           kind = "never_met"
	answeredBefore     kind = "answered_before_app"
	interceptReaches   kind = "intercept_reaches_app"
	interceptHides     kind = "intercept_hides_refusal"
	errorsReach        kind = "error_route_reaches_app"
	errorsProxy        kind = "error_route_proxies"
	errorsHide         kind = "error_route_hides_refusal"
	errorsUnused       kind = "error_routes_unused"
	wayAround          kind = "way_around"
	unguardedUnused    kind = "unguarded_unused"
	metTwice           kind = "met_twice"
	replayTwoApps      kind = "replay_two_apps"
	signaturesLogged   kind = "signatures_in_log"
	observesOnly       kind = "observe_only"
	keyShort           kind = "key_short"
	secretLiteral      kind = "secret_literal"
	secretFileReadable kind = "secret_file_readable"
)

// kinds is everything that analyse can find. What a gate logs itself when it is
// provisioned, which `caddy validate` shows too, is not logged again at the start.
var kinds = map[kind]struct {
	severity severity
	atGate   bool
	problem  string
	cure     string
}{
	nothingBehind: {
		asError, false, "no handler behind the gate can answer: no delivery would reach an app",
		"put reverse_proxy behind webhook_auth, in the same route",
	},
	onlyErrorsBehind: {
		asWarning, false, "behind the gate there is only an answer of 4xx or 5xx: no delivery reaches an app",
		"put reverse_proxy behind webhook_auth, in the same route",
	},
	neverMet: {
		asError, false, "every request is answered in front of the gate, so no request meets it",
		"put webhook_auth in front of what answers; outside route, remove the order option",
	},
	answeredBefore: {
		asWarning, false, "what the gate lets through is answered before it reaches the app",
		"remove the answer, or give it a matcher of its own",
	},
	interceptReaches: {
		asError, false, "intercept in front of the gate gets refused requests, and its routes can send them to an app",
		"move intercept behind webhook_auth, or let its routes only respond",
	},
	interceptHides: {
		asWarning, false, "intercept in front of the gate turns refusals into 2xx: the sender believes that a refused delivery was accepted",
		"move intercept behind webhook_auth, or match only the statuses that it is for",
	},
	errorsReach: {
		asError, false, "on_refusal handle_errors hands refused requests to an error route that may send them to an app",
		"answer refusals with respond, remove on_refusal, or use reverse_proxy with its http transport, without lb_retries, lb_try_duration and header_up that deletes by pattern",
	},
	errorsProxy: {
		asWarning, false, "on_refusal handle_errors hands refused requests to an error route with reverse_proxy, which cannot send them",
		"answer refusals with respond or file_server, or remove on_refusal",
	},
	errorsHide: {
		asWarning, false, "an error route answers refusals with 2xx: the sender believes that a refused delivery was accepted",
		"match 5xx and other statuses apart, and answer them with their own status",
	},
	errorsUnused: {asNote, false, "error routes no longer see refusals; write on_refusal handle_errors", ""},
	wayAround: {
		asWarning, false, "the app behind a gate is also reached without one",
		"give the app a listener for webhooks alone; if the way is meant, add its upstream to the global option webhook_auth { unguarded }",
	},
	unguardedUnused: {
		asWarning, false, "unguarded names an upstream that is behind no gate, or is not reached without one",
		"remove it, or write the upstream as reverse_proxy has it",
	},
	metTwice: {
		asError, false, "a request meets the same gate twice, and the replay guard refuses it the second time",
		"remove one of the two",
	},
	replayTwoApps: {
		asWarning, false, "one replay guard is in front of two apps: the second never sees a delivery that the first accepted",
		"give each app a gate of its own, with its own name",
	},
	signaturesLogged: {
		asWarning, false, "the access log shows signatures, unless a filter deletes the field; with its body, a signature is a delivery that can be repeated",
		"delete the fields in the log's format",
	},
	observesOnly: {
		asWarning, true, "unsafe_observe_only: requests reach the app unverified",
		"remove unsafe_observe_only",
	},
	keyShort: {
		asWarning, true, "a key under 16 bytes can be guessed from one captured delivery",
		"use a secret of 32 random bytes",
	},
	secretLiteral: {
		asWarning, true, "a literal secret is readable in the configuration and the admin API",
		"use {env.NAME} or {file./path}",
	},
	secretFileReadable: {
		asWarning, true, "every user of this machine can read the secret's file",
		"chmod 600",
	},
}

// A finding is something in a configuration that breaks the promise of a gate, or may.
type finding struct {
	Kind     kind     `json:"kind"`
	Severity severity `json:"severity"`
	Gate     string   `json:"gate,omitempty"`
	Server   string   `json:"server,omitempty"`
	Hosts    []string `json:"hosts,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Upstream string   `json:"upstream,omitempty"`
	Secret   string   `json:"secret,omitempty"` // its name, or its position
	By       string   `json:"by,omitempty"`     // the handler, as in a Caddyfile
	Problem  string   `json:"problem"`
	Cure     string   `json:"cure"`

	atGate bool
}

// newFinding is a finding about a gate, or without one about a place.
func newFinding(k kind, gate *Handler, at place) finding {
	rule := kinds[k]
	f := finding{
		Kind: k, Severity: rule.severity, Problem: rule.problem, Cure: rule.cure, atGate: rule.atGate,
		Hosts: at.hosts(), Paths: at.paths(),
	}
	if at.server != nil {
		f.Server = at.server.Name()
	}
	if gate != nil {
		f.Gate = gate.Name
	}
	return f
}

// String is one line: what is wrong, where, and the cure.
func (f finding) String() string {
	line := fmt.Sprintf("%s %s: %s%s", f.Severity, f.Kind, f.place(), f.Problem)
	if f.Cure != "" {
		line += "; " + f.Cure
	}
	return line
}

func (f finding) place() string {
	var parts []string
	for _, part := range []struct{ label, value string }{
		{"gate ", f.Gate},
		{"secret ", f.Secret},
		{"upstream ", f.Upstream},
		{"by ", f.By},
		{"server ", f.Server},
		{"hosts ", strings.Join(f.Hosts, " ")},
		{"paths ", strings.Join(f.Paths, " ")},
	} {
		if part.value != "" {
			parts = append(parts, part.label+part.value)
		}
	}
	if parts == nil {
		return ""
	}
	return strings.Join(parts, ", ") + ": "
}

// fields are those of the log line.
func (f finding) fields() []zap.Field {
	fields := []zap.Field{zap.String("kind", string(f.Kind))}
	for _, field := range []struct{ name, value string }{
		{"gate", f.Gate}, {"server", f.Server}, {"upstream", f.Upstream}, {"by", f.By},
	} {
		if field.value != "" {
			fields = append(fields, zap.String(field.name, field.value))
		}
	}
	return append(fields, zap.Strings("hosts", f.Hosts), zap.Strings("paths", f.Paths), zap.String("cure", f.Cure))
}

// lint refuses a configuration that cannot keep the promise, and logs what else
// analyse finds.
func lint(app *App) error {
	var refused []error
	for _, f := range analyse(app, nil) {
		switch {
		case f.Severity == asError:
			refused = append(refused, errors.New(f.String()))
		case f.atGate: // logged by the gate
		case f.Severity == asNote:
			app.ctx.Logger().Info(f.Problem, f.fields()...)
		default:
			app.ctx.Logger().Warn(f.Problem, f.fields()...)
		}
	}
	return errors.Join(refused...)
}

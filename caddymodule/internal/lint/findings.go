package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// A Severity says what a finding does to a configuration.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // certain: it does not load
	Warning Severity = "warning" // may be meant: it loads, and the log shows the finding
	Note    Severity = "note"    // nothing is wrong
)

// A Kind names a finding.
type Kind string

const (
	nothingBehind      Kind = "nothing_behind"
	onlyErrorsBehind   Kind = "only_errors_behind"
	neverMet           Kind = "never_met"
	answeredBefore     Kind = "answered_before_app"
	interceptReaches   Kind = "intercept_reaches_app"
	interceptHides     Kind = "intercept_hides_refusal"
	errorsReach        Kind = "error_route_reaches_app"
	errorsProxy        Kind = "error_route_proxies"
	errorsHide         Kind = "error_route_hides_refusal"
	errorsUnused       Kind = "error_routes_unused"
	wayAround          Kind = "way_around"
	unguardedUnused    Kind = "unguarded_unused"
	metTwice           Kind = "met_twice"
	replayTwoApps      Kind = "replay_two_apps"
	signaturesLogged   Kind = "signatures_in_log"
	tokensInLog        Kind = "token_in_log"
	observesOnly       Kind = "observe_only"
	keyShort           Kind = "key_short"
	secretLiteral      Kind = "secret_literal"
	secretFileReadable Kind = "secret_file_readable"
)

// kinds is everything that analyse can find. What a gate logs itself when it is
// provisioned, which `caddy validate` shows too, is not logged again at the start.
var kinds = map[Kind]struct {
	severity Severity
	atGate   bool
	problem  string
	cure     string
}{
	nothingBehind: {
		Error, false, "no handler behind the gate can answer: no delivery would reach an app",
		"put reverse_proxy behind webhook_auth, in the same route",
	},
	onlyErrorsBehind: {
		Warning, false, "behind the gate there is only an answer of 4xx or 5xx: no delivery reaches an app",
		"put reverse_proxy behind webhook_auth, in the same route",
	},
	neverMet: {
		Error, false, "every request is answered in front of the gate, so no request meets it",
		"put webhook_auth in front of what answers; outside route, remove the order option",
	},
	answeredBefore: {
		Warning, false, "what the gate lets through is answered before it reaches the app",
		"remove the answer, or give it a matcher of its own",
	},
	interceptReaches: {
		Error, false, "intercept in front of the gate gets refused requests, and its routes can send them to an app",
		"move intercept behind webhook_auth, or let its routes only respond",
	},
	interceptHides: {
		Warning, false, "intercept in front of the gate turns refusals into 2xx: the sender believes that a refused delivery was accepted",
		"move intercept behind webhook_auth, or match only the statuses that it is for",
	},
	errorsReach: {
		Error, false, "on_refusal handle_errors hands refused requests to an error route that may send them to an app",
		"answer refusals with respond, remove on_refusal, or use reverse_proxy with its http transport, without lb_retries, lb_try_duration and header_up that deletes by pattern",
	},
	errorsProxy: {
		Warning, false, "on_refusal handle_errors hands refused requests to an error route with reverse_proxy, which cannot send them",
		"answer refusals with respond or file_server, or remove on_refusal",
	},
	errorsHide: {
		Warning, false, "an error route answers refusals with 2xx: the sender believes that a refused delivery was accepted",
		"match 5xx and other statuses apart, and answer them with their own status",
	},
	errorsUnused: {Note, false, "error routes no longer see refusals; write on_refusal handle_errors", ""},
	wayAround: {
		Warning, false, "the app behind a gate is also reached without one",
		"give the app a listener for webhooks alone; if the way is meant, add its upstream to the global option webhook_auth { unguarded }",
	},
	unguardedUnused: {
		Warning, false, "unguarded names an upstream that is behind no gate, or is not reached without one",
		"remove it, or write the upstream as reverse_proxy has it",
	},
	metTwice: {
		Error, false, "a request meets the same gate twice, and the replay guard refuses it the second time",
		"remove one of the two",
	},
	replayTwoApps: {
		Warning, false, "one replay guard is in front of two apps: the second never sees a delivery that the first accepted",
		"give each app a gate of its own, with its own name",
	},
	signaturesLogged: {
		Warning, false, "the access log shows signatures, unless a filter deletes the field; with its body, a signature is a delivery that can be repeated",
		"delete the fields in the log's format",
	},
	tokensInLog: {
		Warning, false, "a log shows tokens, unless a filter deletes the field; whoever reads one line can send what they like, until the token is changed",
		"delete the fields in the global option log, and in each log with an output or a format of its own",
	},
	observesOnly: {
		Warning, true, "unsafe_observe_only: requests reach the app unverified",
		"remove unsafe_observe_only",
	},
	keyShort: {
		Warning, true, "a key under 16 bytes can be guessed from one captured delivery",
		"use a secret of 32 random bytes",
	},
	secretLiteral: {
		Warning, true, "a literal secret is readable in the configuration and the admin API",
		"use {env.NAME} or {file./path}",
	},
	secretFileReadable: {
		Warning, true, "every user of this machine can read the secret's file",
		"chmod 600",
	},
}

// Kinds returns everything that can be found, in no particular order.
func Kinds() []Kind { return slices.Collect(maps.Keys(kinds)) }

// Severity returns what a finding of the kind does unless it says otherwise.
func (k Kind) Severity() Severity { return kinds[k].severity }

// Cure returns what to do about a finding of the kind.
func (k Kind) Cure() string { return kinds[k].cure }

// A Finding is something in a configuration that breaks the promise of a gate, or may.
type Finding struct {
	Kind     Kind     `json:"kind"`
	Severity Severity `json:"severity"`
	Gate     string   `json:"gate,omitempty"`
	Server   string   `json:"server,omitempty"`
	Hosts    []string `json:"hosts,omitempty"`
	Paths    []string `json:"paths,omitempty"`
	Upstream string   `json:"upstream,omitempty"`
	Secret   string   `json:"secret,omitempty"` // its name, or its position
	Token    string   `json:"token,omitempty"`  // likewise
	By       string   `json:"by,omitempty"`     // the handler, as in a Caddyfile
	Problem  string   `json:"problem"`
	Cure     string   `json:"cure"`
	Block    string   `json:"block,omitempty"` // of a Caddyfile, that mends it

	AtGate bool `json:"-"` // the gate logs it itself
}

// newFinding is a finding about a gate, or without one about a place.
func newFinding(k Kind, gate *Gate, at Place) Finding {
	rule := kinds[k]
	f := Finding{
		Kind: k, Severity: rule.severity, Problem: rule.problem, Cure: rule.cure, AtGate: rule.atGate,
		Hosts: at.Hosts(), Paths: at.Paths(),
	}
	if at.server != nil {
		f.Server = at.server.Name()
	}
	if gate != nil {
		f.Gate = gate.Name
	}
	return f
}

// name says which secret or token a finding is about.
func (f *Finding) name(name string, isToken bool) {
	if !isToken {
		f.Secret = name
		return
	}
	f.Token = name
	f.Problem = strings.NewReplacer("a key under", "a token under", " from one captured delivery", "", "secret", "token").Replace(f.Problem)
	f.Cure = strings.ReplaceAll(f.Cure, "secret", "token")
}

// String is one line: what is wrong, where, and the cure. A block that mends it follows.
func (f Finding) String() string {
	line := fmt.Sprintf("%s %s: %s%s", f.Severity, f.Kind, f.place(), f.Problem)
	if f.Cure != "" {
		line += "; " + f.Cure
	}
	if f.Block != "" {
		line += ":\n" + f.Block
	}
	return line
}

func (f Finding) place() string {
	var parts []string
	for _, part := range []struct{ label, value string }{
		{"gate ", f.Gate},
		{"secret ", f.Secret},
		{"token ", f.Token},
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

// Fields are those of the log line.
func (f Finding) Fields() []zap.Field {
	fields := []zap.Field{zap.String("kind", string(f.Kind))}
	for _, field := range []struct{ name, value string }{
		{"gate", f.Gate}, {"server", f.Server}, {"upstream", f.Upstream}, {"by", f.By}, {"block", f.Block},
	} {
		if field.value != "" {
			fields = append(fields, zap.String(field.name, field.value))
		}
	}
	return append(fields, zap.Strings("hosts", f.Hosts), zap.Strings("paths", f.Paths), zap.String("cure", f.Cure))
}

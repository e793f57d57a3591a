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

// The kinds that lint finds by itself.
const (
	nothingBehind    Kind = "nothing_behind"
	onlyErrorsBehind Kind = "only_errors_behind"
	neverMet         Kind = "never_met"
	answeredBefore   Kind = "answered_before_app"
	interceptReaches Kind = "intercept_reaches_app"
	interceptHides   Kind = "intercept_hides_refusal"
	errorsReach      Kind = "error_route_reaches_app"
	errorsProxy      Kind = "error_route_proxies"
	errorsHide       Kind = "error_route_hides_refusal"
	errorsUnused     Kind = "error_routes_unused"
	wayAround        Kind = "way_around"
	unguardedUnused  Kind = "unguarded_unused"
	metTwice         Kind = "met_twice"
	replayTwoApps    Kind = "replay_two_apps"
	signaturesLogged Kind = "signatures_in_log"
	tokensInLog      Kind = "token_in_log"
	challengeMissing Kind = "challenge_missing"
)

// The kinds that a gate finds in its own options, see [About].
const (
	ObservesOnly            Kind = "observe_only"
	KeyShort                Kind = "key_short"
	KeyShared               Kind = "key_shared"
	PublicKeyShared         Kind = "public_key_shared"
	TokenShared             Kind = "token_shared"
	TokenUnsigned           Kind = "token_unsigned"
	TokenShort              Kind = "token_short"
	TokenLiteral            Kind = "token_literal"
	TokenFileReadable       Kind = "token_file_readable"
	TokenOdd                Kind = "token_odd"
	SecretLiteral           Kind = "secret_literal"
	SecretFileReadable      Kind = "secret_file_readable"
	SecretOdd               Kind = "secret_odd"
	SecretPublished         Kind = "secret_published"
	VerifyTokenLiteral      Kind = "verify_token_literal"
	VerifyTokenFileReadable Kind = "verify_token_file_readable"
	ReplayKeyLiteral        Kind = "replay_key_literal"
	ReplayKeyFileReadable   Kind = "replay_key_file_readable"
	ReplayWindowShort       Kind = "replay_window_short"
	CertificateExpired      Kind = "certificate_expired"
	ExponentSmall           Kind = "exponent_small"
	KeyOfAllCustomers       Kind = "key_of_all_customers"
)

// AdminOpen is found by `caddy webhook check` alone: a module that runs is not told where
// Caddy's admin API listens.
const AdminOpen Kind = "admin_open"

// Found by `caddy webhook check` alone: a gate reads the file of a tenant when it is used.
const (
	TenantUnusable     Kind = "tenant_unusable"
	TenantFileReadable Kind = "tenant_file_readable"
	TenantNoName       Kind = "tenant_no_name"
	TenantsShare       Kind = "tenants_share"
)

// kinds is everything that can be found. What is said of a finding is only here, for the
// log and for the command.
var kinds = map[Kind]struct {
	severity Severity
	problem  string
	cure     string
}{
	nothingBehind: {
		Error, "no handler behind the gate can answer: no delivery would reach an app",
		"put reverse_proxy behind webhook_auth, in the same route",
	},
	onlyErrorsBehind: {
		Warning, "behind the gate there is only an answer of 4xx or 5xx: no delivery reaches an app",
		"put reverse_proxy behind webhook_auth, in the same route",
	},
	neverMet: {
		Error, "every request is answered in front of the gate, so no request meets it",
		"put webhook_auth in front of what answers; outside route, remove the order option",
	},
	answeredBefore: {
		Warning, "what the gate lets through is answered before it reaches the app",
		"remove the answer, or give it a matcher of its own",
	},
	interceptReaches: {
		Error, "intercept in front of the gate receives refused requests, and its routes can send them to an app",
		"move intercept behind webhook_auth, or let its routes only respond",
	},
	interceptHides: {
		Warning, "intercept in front of the gate turns refusals into 2xx: the sender believes that a refused delivery was accepted",
		"move intercept behind webhook_auth, or match only the statuses that it is for",
	},
	errorsReach: {
		Error, "on_refusal handle_errors hands refused requests to an error route that may send them to an app",
		"answer refusals with respond, remove on_refusal, or use reverse_proxy with its http transport, without lb_retries, lb_try_duration and header_up that deletes by pattern",
	},
	errorsProxy: {
		Warning, "on_refusal handle_errors hands refused requests to an error route with reverse_proxy, which cannot send them",
		"answer refusals with respond or file_server, or remove on_refusal",
	},
	errorsHide: {
		Warning, "an error route answers refusals with 2xx: the sender believes that a refused delivery was accepted",
		"match 5xx and other statuses apart, and answer them with their own status",
	},
	errorsUnused: {Note, "error routes no longer see refusals; write on_refusal handle_errors", ""},
	wayAround: {
		Warning, "the app behind a gate is also reached without one",
		"give the app a listener for webhooks alone; if the way is meant, add its upstream to the global option webhook_auth { unguarded }",
	},
	unguardedUnused: {
		Warning, "unguarded names an upstream that is behind no gate, or is not reached without one",
		"remove it, or write the upstream as reverse_proxy has it",
	},
	metTwice: {
		Error, "a request meets the same gate twice, and the replay guard refuses it the second time",
		"remove one of the two",
	},
	replayTwoApps: {
		Warning, "one replay guard is in front of two apps: the second never sees a delivery that the first accepted",
		"give each app a gate of its own, with its own name",
	},
	signaturesLogged: {
		Warning, "the access log shows signatures, unless a filter deletes the field; with its body, a signature is a delivery that can be repeated",
		"delete the fields in the log's format",
	},
	tokensInLog: {
		Warning, "a log shows tokens, unless a filter deletes the field; whoever reads one line can send what they like, until the token is changed",
		"delete the fields in the global option log, and in each log with an output or a format of its own",
	},
	challengeMissing: {
		Warning, "the sender checks the URL before it delivers, and the gate refuses a check that it has no challenge for",
		"if the app answers the check, let only POST meet the gate",
	},
	AdminOpen: {
		Warning, "the admin API is open to other machines: whoever reaches it can replace the configuration, and read what is remembered of deliveries",
		"admin unix//run/caddy/admin.sock, admin localhost:2019, or admin off",
	},
	TenantUnusable: {
		Warning, "the file of a tenant cannot be used, and every delivery to it is refused",
		"write one secret a line into it",
	},
	TenantFileReadable: {
		Warning, "every user of this machine can read the files of tenants",
		"chmod 600, or 640 with a group for Caddy",
	},
	TenantNoName: {
		Warning, "a file in the folder of the tenants has a name that no tenant can have",
		"use 1 to 64 letters, digits, - _ and . within, or begin the name with a dot",
	},
	TenantsShare: {
		Warning, "two tenants have the same secret, and each can sign for the other",
		"give each tenant a secret of its own",
	},
	ObservesOnly: {
		Warning, "unsafe_observe_only: requests reach the app unverified",
		"remove unsafe_observe_only",
	},
	KeyShort: {
		Warning, "a key under 16 bytes can be guessed from one captured delivery",
		"use a secret of 32 random bytes",
	},
	KeyShared: {
		Warning, "two gates have the same secret, and their senders sign different things, so that a delivery to one may also be accepted by the other, with another body",
		"give each gate a secret of its own",
	},
	PublicKeyShared: {
		Warning, "two gates have the same public key and different payloads, so that a delivery to one may also be accepted by the other, with another body",
		"write the payload that the sender documents in both",
	},
	TokenShared: {
		Warning, "two gates have the same token in different fields, so that a delivery to one can be repeated at the other",
		"give each gate a token of its own",
	},
	TokenUnsigned: {
		// Nobody can mend it, so that check can be green; the log warns of it.
		Note, "a token is no signature: nothing protects the body, whoever sees one request or one line of a log has the token, and without replay nothing bounds repetition",
		"if the sender can sign instead, let it",
	},
	TokenShort: {
		Warning, "a token under 16 bytes can be guessed",
		"use a token of 32 random bytes",
	},
	TokenLiteral: {
		Warning, "a literal token is readable in the configuration and the admin API",
		"use {env.NAME} or {file./path}",
	},
	TokenFileReadable: {
		Warning, "every user of this machine can read the token's file",
		"chmod 600",
	},
	TokenOdd: {
		Warning, "the token is in quotes, which are part of it",
		"take them out of the variable or file",
	},
	SecretLiteral: {
		Warning, "a literal secret is readable in the configuration and the admin API",
		"use {env.NAME} or {file./path}",
	},
	SecretFileReadable: {
		Warning, "every user of this machine can read the secret's file",
		"chmod 600",
	},
	SecretOdd: {
		Warning, "", // what package guessable says of it
		"copy the secret again",
	},
	SecretPublished: {
		Warning, "the documents of the sender show this secret to everyone, and anyone can sign with it",
		"use one of your own",
	},
	VerifyTokenLiteral: {
		Warning, "a literal verify token is readable in the configuration and the admin API",
		"use {env.NAME} or {file./path}",
	},
	VerifyTokenFileReadable: {
		Warning, "every user of this machine can read the verify token's file",
		"chmod 600",
	},
	ReplayKeyLiteral: {
		Warning, "a literal replay key is readable in the configuration and the admin API",
		"use {env.NAME} or {file./path}",
	},
	ReplayKeyFileReadable: {
		Warning, "every user of this machine can read the replay key's file",
		"chmod 600",
	},
	ReplayWindowShort: {
		Warning, "a captured delivery is authentic for longer than the replay guard remembers it",
		"make the window as long as twice the tolerance, or longer",
	},
	CertificateExpired: {
		Warning, "a certificate has expired, and its key still verifies",
		"ask the sender whether there is a new one; if there is none, write its public key instead",
	},
	ExponentSmall: {
		Warning, "an RSA key has a public exponent below 65537",
		"ask the sender for a usual one",
	},
	KeyOfAllCustomers: {
		Note, "one key signs for all customers of this sender: a signature proves the sender, not the account",
		"let the app look at the account in the body",
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
	Kind      Kind     `json:"kind"`
	Severity  Severity `json:"severity"`
	Gate      string   `json:"gate,omitempty"`
	Other     string   `json:"other,omitempty"` // a second gate
	Server    string   `json:"server,omitempty"`
	Hosts     []string `json:"hosts,omitempty"`
	Paths     []string `json:"paths,omitempty"`
	Upstream  string   `json:"upstream,omitempty"`
	Secret    string   `json:"secret,omitempty"`     // its name, or its position
	PublicKey string   `json:"public_key,omitempty"` // the same
	Token     string   `json:"token,omitempty"`      // the same
	Tenant    string   `json:"tenant,omitempty"`
	Sender    string   `json:"sender,omitempty"`
	By        string   `json:"by,omitempty"` // the handler, as in a Caddyfile
	Problem   string   `json:"problem"`
	Cure      string   `json:"cure"`
	Block     string   `json:"block,omitempty"` // of a Caddyfile, that mends it

	AtGate bool `json:"-"` // the gate logs it itself, as `caddy validate` shows too
}

// About returns a finding of a gate about its own options.
func About(k Kind, change ...func(*Finding)) Finding {
	rule := kinds[k]
	f := Finding{Kind: k, Severity: rule.severity, Problem: rule.problem, Cure: rule.cure}
	for _, set := range change {
		set(&f)
	}
	return f
}

// at adds the place that a finding is about, and the gate if there is one.
func (f Finding) at(gate *Gate, at Place) Finding {
	f.Hosts, f.Paths = at.Hosts(), at.Paths()
	if at.server != nil {
		f.Server = at.server.Name()
	}
	if gate != nil {
		f.Gate = gate.Name
	}
	return f
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
		{"other gate ", f.Other},
		{"secret ", f.Secret},
		{"public_key ", f.PublicKey},
		{"token ", f.Token},
		{"tenant ", f.Tenant},
		{"sender ", f.Sender},
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
		{"gate", f.Gate},
		{"other", f.Other},
		{"secret", f.Secret},
		{"public_key", f.PublicKey},
		{"token", f.Token},
		{"sender", f.Sender},
		{"server", f.Server},
		{"upstream", f.Upstream},
		{"by", f.By},
		{"cure", f.Cure},
		{"block", f.Block},
	} {
		if field.value != "" {
			fields = append(fields, zap.String(field.name, field.value))
		}
	}
	if !f.AtGate {
		fields = append(fields, zap.Strings("hosts", f.Hosts), zap.Strings("paths", f.Paths))
	}
	return fields
}

package lint

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// redacted are the fields that Caddy hides in its logs, unless log_credentials is set.
var redacted = []string{"Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie"}

// hiding are the filters after which a field cannot be used again.
var hiding = []string{"delete", "hash", "replace"}

// loggedFields returns the signature fields that an access log of the server shows. It
// assumes the worst where logging is nil, which is how a configuration that starts is
// seen: its logs are already open.
func loggedFields(server *caddyhttp.Server, gates []*Passage, logging *caddy.Logging) (fields []string) {
	if server.Logs == nil {
		return nil
	}
	for _, gate := range gates {
		for _, name := range shown(server, gate) {
			if !gate.Tokens && !allFilter(logging, loggersOf(server.Logs, gate.At.Hosts()), name) {
				fields = union(fields, []string{name})
			}
		}
	}
	return fields
}

// shown returns the fields of a gate that Caddy does not hide by itself.
func shown(server *caddyhttp.Server, gate *Passage) (fields []string) {
	credentials := server.Logs != nil && server.Logs.ShouldLogCredentials
	for _, name := range gate.Fields {
		name = http.CanonicalHeaderKey(name)
		if credentials || !slices.Contains(redacted, name) {
			fields = append(fields, name)
		}
	}
	return fields
}

// loggersOf names the loggers of requests for hosts; none are all.
func loggersOf(logs *caddyhttp.ServerLogConfig, hosts []string) (loggers []string) {
	add := func(names ...string) {
		for _, name := range names {
			loggers = append(loggers, strings.TrimSuffix("http.log.access."+name, "."))
		}
	}
	for _, host := range hosts {
		names, mapped := namesOf(logs, host)
		switch {
		case mapped:
			add(names...)
		case slices.ContainsFunc(logs.SkipHosts, func(pattern string) bool { return matchesHost(pattern, host) }):
		case !logs.SkipUnmappedHosts:
			add(logs.DefaultLoggerName)
		}
	}
	if len(hosts) == 0 {
		add(logs.DefaultLoggerName)
		for _, names := range logs.LoggerNames {
			add(names...)
		}
	}
	return loggers
}

// namesOf returns the loggers that a host is mapped to, itself or by a wildcard.
func namesOf(logs *caddyhttp.ServerLogConfig, host string) (names []string, mapped bool) {
	for pattern, loggers := range logs.LoggerNames {
		if matchesHost(pattern, host) {
			names, mapped = append(names, loggers...), true
		}
	}
	return names, mapped
}

// matchesHost is Caddy's rule: a star stands for a label. A host that is a pattern itself is
// matched by what may match some of its hosts.
func matchesHost(pattern, host string) bool {
	p, h := strings.Split(strings.ToLower(pattern), "."), strings.Split(strings.ToLower(host), ".")
	if len(p) != len(h) {
		return false
	}
	for i := range p {
		if p[i] != h[i] && p[i] != "*" && h[i] != "*" {
			return false
		}
	}
	return true
}

// allFilter reports whether every log that gets lines of the loggers hides the field.
func allFilter(logging *caddy.Logging, loggers []string, field string) bool {
	if len(loggers) == 0 {
		return true
	}
	if logging == nil || logging.Logs["default"] == nil { // then Caddy's own log gets them, without a filter
		return false
	}
	for _, log := range logging.Logs {
		if shows(log, loggers, field) {
			return false
		}
	}
	return true
}

// shows reports whether a log gets lines of the loggers and does not hide the field. What
// else takes its lines before they are encoded is not known.
func shows(log *caddy.CustomLog, loggers []string, field string) bool {
	gets := func(logger string) bool { return accepts(log, logger) }
	return slices.ContainsFunc(loggers, gets) && !discards(log) && (!filters(log.EncoderRaw, field) || log.CoreRaw != nil)
}

func discards(log *caddy.CustomLog) bool {
	var writer struct{ Output string }
	return json.Unmarshal(log.WriterRaw, &writer) == nil && writer.Output == "discard" && log.CoreRaw == nil
}

// accepts is Caddy's rule: the longest prefix decides.
func accepts(log *caddy.CustomLog, logger string) bool {
	included, excluded := longest(log.Include, logger), longest(log.Exclude, logger)
	return included > excluded || len(log.Include) == 0 && excluded == 0
}

func longest(namespaces []string, logger string) (length int) {
	for _, namespace := range namespaces {
		if namespace == "*" || strings.HasPrefix(logger+".", namespace+".") {
			length = max(length, len(namespace))
		}
	}
	return length
}

// filters reports whether an encoder hides a header field, or all of them.
func filters(encoder json.RawMessage, field string) bool {
	var parsed struct {
		Fields map[string]json.RawMessage // of append, they are values
		Wrap   json.RawMessage
	}
	if json.Unmarshal(encoder, &parsed) != nil {
		return false
	}
	for _, key := range []string{"request>headers>" + field, "request>headers", "request"} {
		var field struct{ Filter string }
		if json.Unmarshal(parsed.Fields[key], &field) == nil && slices.Contains(hiding, field.Filter) {
			return true
		}
	}
	return parsed.Wrap != nil && filters(parsed.Wrap, field)
}

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
		for _, name := range gate.Fields {
			name = http.CanonicalHeaderKey(name)
			hidden := slices.Contains(redacted, name) && !server.Logs.ShouldLogCredentials
			if !hidden && !allFilter(logging, loggersOf(server.Logs, gate.At.Hosts()), name) {
				fields = union(fields, []string{name})
			}
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
		names, mapped := logs.LoggerNames[host]
		switch {
		case slices.Contains(logs.SkipHosts, host):
		case mapped:
			add(names...)
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

// allFilter reports whether every log that gets lines of the loggers hides the field.
func allFilter(logging *caddy.Logging, loggers []string, field string) bool {
	if len(loggers) == 0 {
		return true
	}
	if logging == nil || logging.Logs["default"] == nil { // then Caddy's own log gets them, without a filter
		return false
	}
	for _, log := range logging.Logs {
		gets := func(logger string) bool { return accepts(log, logger) }
		if slices.ContainsFunc(loggers, gets) && !filters(log.EncoderRaw, field) {
			return false
		}
	}
	return true
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
		Fields map[string]struct{ Filter string }
		Wrap   json.RawMessage
	}
	if json.Unmarshal(encoder, &parsed) != nil {
		return false
	}
	for _, key := range []string{"request>headers>" + field, "request>headers", "request"} {
		if slices.Contains(hiding, parsed.Fields[key].Filter) {
			return true
		}
	}
	return parsed.Wrap != nil && filters(parsed.Wrap, field)
}

package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// requestLoggers print the header section of a request although there is no access log: the
// server, for each error that a handler returns; reverse_proxy, when the app breaks off; and
// at level debug rewrite and FastCGI. The last one stands for handlers that nobody here knows.
var requestLoggers = []string{
	"http.log.error", "http.handlers.reverse_proxy", "http.handlers.rewrite", "http.reverse_proxy.transport.fastcgi", "http.handlers.unknown",
}

// A tokenLog is what a server's logs show of tokens.
type tokenLog struct {
	fields []string
	logs   []string // their names; none: they are not known
}

// tokensLogged returns the fields with tokens that a log may show. A request is copied for
// the logs before any handler runs, so that no gate can take the field out.
func tokensLogged(server *caddyhttp.Server, gates []*Passage, logging *caddy.Logging, named []string) (found tokenLog) {
	for _, gate := range gates {
		if !gate.Tokens {
			continue
		}
		loggers := loggersOfRequests(server.Logs, gate.At.Hosts(), named)
		for _, field := range shown(server, gate) {
			logs := logsThatShow(logging, loggers, field)
			if logging == nil || len(logs) > 0 {
				found.fields, found.logs = union(found.fields, []string{field}), union(found.logs, logs)
			}
		}
	}
	return found
}

// loggersOfRequests names what prints requests for hosts. named are loggers that routes
// choose.
func loggersOfRequests(logs *caddyhttp.ServerLogConfig, hosts, named []string) []string {
	loggers := slices.Clone(requestLoggers)
	if logs == nil {
		return loggers
	}
	for _, name := range slices.Concat(slices.Concat(slices.Collect(maps.Values(logs.LoggerNames))...), []string{logs.DefaultLoggerName}, named) {
		loggers = append(loggers, strings.TrimSuffix("http.log.error."+name, "."))
	}
	for _, name := range named {
		loggers = append(loggers, strings.TrimSuffix("http.log.access."+name, "."))
	}
	return append(loggers, loggersOf(logs, hosts)...)
}

// logsThatShow returns the names of the logs that show a field. Where nothing is written
// about it, Caddy's own log shows it.
func logsThatShow(logging *caddy.Logging, loggers []string, field string) (names []string) {
	if logging == nil {
		return nil
	}
	if logging.Logs["default"] == nil {
		names = append(names, "default")
	}
	for _, name := range slices.Sorted(maps.Keys(logging.Logs)) {
		if log := logging.Logs[name]; log != nil && shows(log, loggers, field) {
			names = append(names, name)
		}
	}
	return names
}

// namedLoggers returns the loggers that a handler chooses for its requests, as log_name does.
func namedLoggers(handler caddyhttp.MiddlewareHandler) (names []string) {
	vars, ok := handler.(*caddyhttp.VarsMiddleware)
	if !ok {
		return nil
	}
	chosen, _ := (*vars)[caddyhttp.AccessLoggerNameVarKey].([]any)
	for _, name := range chosen {
		if text, ok := name.(string); ok {
			names = append(names, text)
		}
	}
	return names
}

// filterBlock is the global option that hides fields.
func filterBlock(fields []string) string {
	return "{\n\tlog {\n\t\tformat filter {\n\t\t\trequest>headers>" + strings.Join(fields, " delete\n\t\t\trequest>headers>") + " delete\n\t\t}\n\t}\n}"
}

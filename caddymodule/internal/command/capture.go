package command

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A capture is what someone saved of a delivery, except for its body.
type capture struct {
	method  string
	header  http.Header // without Host, which net/http takes out too
	scheme  string      // http or https; empty: not known
	host    string      // empty: not known
	target  string      // path and query; empty: not known
	arrived time.Time   // zero: not known
	logged  bool        // it is a line of a log, which may leave fields out
}

// maxSkip is how long a logged request may have taken at most; a longer duration is
// written in another unit.
const maxSkip = time.Hour

// parseCapture reads a delivery in the forms in which people have one. No error shows a
// value.
func parseCapture(raw []byte) (*capture, error) {
	c := &capture{header: make(http.Header)}
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	switch logged := loggedRequests(raw); {
	case len(logged) == 1:
		return c, c.readJSON(logged[0])
	case len(logged) > 1:
		return nil, errors.New("--headers: there are several lines of a log with header fields; keep the one of this delivery")
	case bytes.HasPrefix(raw, []byte("{")):
		return c, c.readJSON(raw)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimPrefix(strings.TrimRight(lines.Text(), " \t\r"), "> ")
		if aside(line) || c.readStart(line) {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t\"") {
			return nil, fmt.Errorf("--headers: line %d is not of the form Name: value", n)
		}
		c.add(name, strings.Trim(value, " \t"))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("--headers: %w", err)
	}
	return c, nil
}

// loggedRequests returns the lines of a log that have the header fields of a request,
// without what journalctl and docker compose print in front.
func loggedRequests(raw []byte) (found [][]byte) {
	for line := range bytes.Lines(raw) {
		start := max(bytes.IndexByte(line, '{'), 0)
		var object struct {
			Request struct{ Headers *json.RawMessage }
		}
		if json.Unmarshal(line[start:], &object) == nil && object.Request.Headers != nil {
			found = append(found, line[start:])
		}
	}
	return found
}

// add takes a field as net/http does.
func (c *capture) add(name, value string) {
	if strings.EqualFold(name, "Host") {
		c.host = value
		return
	}
	c.header.Add(name, value)
}

// readStart reads what is in front of the fields: the request line of HTTP/1, the
// pseudo-fields of HTTP/2, or what a sender's page has in their place.
func (c *capture) readStart(line string) bool {
	if words := strings.Fields(line); len(words) == 3 && strings.HasPrefix(words[2], "HTTP/") && !strings.Contains(words[0], ":") {
		c.method = words[0]
		c.readURL(words[1])
		return true
	}
	pseudo, isPseudo := strings.CutPrefix(line, ":")
	name, value, _ := strings.Cut(pseudo, ":")
	value = strings.TrimSpace(value)
	if isPseudo {
		name = ":" + name
	}
	switch strings.ToLower(name) {
	case "request method", ":method":
		c.method = value
	case "request url", ":path":
		c.readURL(value)
	case ":authority":
		c.host = cmp.Or(c.host, value)
	case ":scheme":
		c.scheme = value
	default:
		return false
	}
	return true
}

// readURL reads a path, or a whole URL.
func (c *capture) readURL(text string) {
	u, err := url.Parse(text)
	if err != nil {
		return
	}
	if c.target = u.RequestURI(); strings.HasPrefix(text, "/") {
		c.target = text // byte for byte: it may be signed
	}
	if u.Host != "" {
		c.scheme, c.host = u.Scheme, cmp.Or(c.host, u.Host)
	}
}

// aside reports whether a line says nothing of the request: an empty one, or with
// curl -v what it does, and what came back.
func aside(line string) bool {
	mark, _, _ := strings.Cut(line, " ")
	return line == "" || slices.Contains([]string{">", "<", "*", "{", "}"}, mark)
}

// readJSON takes a line of Caddy's access log, or its request alone, or an object of
// fields.
func (c *capture) readJSON(raw []byte) error {
	var object map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // as it is written
	if err := dec.Decode(&object); err != nil || dec.More() {
		return errors.New("--headers: the file begins with { and is not one JSON object")
	}
	request, isLine := object["request"].(map[string]any)
	if !isLine {
		request = object
	}
	fields, ok := request["headers"].(map[string]any)
	switch {
	case !ok && object["level"] != nil && object["msg"] != nil:
		return errors.New("--headers: this line of the log has no header fields; take the line of the access log about the same request")
	case !ok:
		return c.readFields(object)
	}
	if isLine {
		c.logged, c.arrived = true, arrival(object)
	}
	c.readRequest(request)
	return c.readFields(fields)
}

// readRequest takes what a log says of a request beside its fields.
func (c *capture) readRequest(request map[string]any) {
	text := func(name string) string {
		s, _ := request[name].(string)
		return s
	}
	c.method, c.host = text("method"), text("host")
	if c.target = text("uri"); c.target == "" {
		return
	}
	c.scheme = "http"
	if request["tls"] != nil {
		c.scheme = "https"
	}
}

// readFields takes {"Name": "value"} and {"Name": ["value"]}.
func (c *capture) readFields(fields map[string]any) error {
	for name, value := range fields {
		values, ok := value.([]any)
		if !ok {
			values = []any{value}
		}
		for _, v := range values {
			switch v.(type) {
			case string, json.Number, bool:
				c.add(name, fmt.Sprint(v))
			default:
				return errors.New(`--headers: the JSON object takes "Name": "value" and "Name": ["value"], or is a line of Caddy's access log`)
			}
		}
	}
	return nil
}

// timeLayouts are those of Caddy's log, beside numbers.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.000Z0700", "2006/01/02 15:04:05.000", "2006/01/02 15:04:05"}

// arrival returns when a logged request came: the line is written when it was answered.
func arrival(line map[string]any) time.Time {
	at := logTime(line["ts"])
	if at.IsZero() {
		return at
	}
	took, _ := line["duration"].(json.Number)
	seconds, _ := took.Float64()
	if seconds <= 0 || seconds > maxSkip.Seconds() {
		return at
	}
	return at.Add(-time.Duration(seconds * float64(time.Second)))
}

// logTime reads a number of seconds, or of a smaller unit, or a date.
func logTime(ts any) time.Time {
	if text, ok := ts.(string); ok {
		for _, layout := range timeLayouts {
			if at, err := time.Parse(layout, text); err == nil {
				return at
			}
		}
		return time.Time{}
	}
	number, _ := ts.(json.Number)
	seconds, err := number.Float64()
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	for seconds > 1e11 { // which in seconds is the year 5138
		seconds /= 1000
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*float64(time.Second))).UTC()
}

// addresses are the URLs that the delivery may have been for, as well as the capture
// says so.
func (c *capture) addresses() (urls []string) {
	schemes := []string{c.scheme}
	switch {
	case c.host == "" || c.target == "":
		return nil
	case c.scheme == "":
		schemes = []string{"https", "http"}
	}
	for _, scheme := range schemes {
		urls = append(urls, scheme+"://"+c.host+c.target)
	}
	return urls
}

// query returns the query of the URL, as it arrived.
func (c *capture) query() string {
	_, query, _ := strings.Cut(c.target, "?")
	return query
}

// Package secretref resolves references to secrets, so that a configuration does not
// have to hold the secrets themselves.
package secretref

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Resolve returns the value that a reference names, or a literal unchanged. Only a
// whole value is a reference. Resolve fails where the gate could end up with a key that
// others know: for an unset variable, an unreadable file, and a reference inside a
// literal, which would be used as text.
func Resolve(value string) (string, error) {
	switch {
	case strings.TrimSpace(value) == "":
		return "", errors.New(`it is empty or blank ("{$NAME}" of an unset variable is empty too); use {env.NAME} or {file./path}`)
	case !Is(value) && has(value):
		return "", errors.New("a placeholder must be the whole value; joined to other text it would be used as it is written")
	case !Is(value):
		return value, nil
	}
	resolved, ok := caddy.NewReplacer().GetString(value[1 : len(value)-1])
	if !ok || !IsOutside(value) {
		return "", errors.New("this placeholder cannot hold a secret; use {env.NAME} or {file./path}, also for a literal in braces")
	}
	if strings.TrimSpace(resolved) == "" {
		return "", fmt.Errorf("%s %s", value, unusable(value))
	}
	return resolved, nil
}

// Is reports whether value as a whole is one placeholder.
func Is(value string) bool {
	return strings.HasPrefix(value, "{") && strings.IndexByte(value, '}') == len(value)-1
}

// IsOutside reports whether value is a reference to something outside the configuration: a
// variable or a file.
func IsOutside(value string) bool {
	return Is(value) && (strings.HasPrefix(value, "{env.") || strings.HasPrefix(value, "{file."))
}

// has reports whether value contains a placeholder that names a source of secrets.
func has(value string) bool {
	for _, prefix := range []string{"{env.", "{file.", "{$", "{http."} { // the adapter expands {port} to {http.request.port}
		if strings.Contains(value, prefix) {
			return true
		}
	}
	return false
}

// unusable says why a reference yields no secret, and what to do.
func unusable(reference string) string {
	path, isFile := strings.CutPrefix(strings.Trim(reference, "{}"), "file.")
	if !isFile {
		return "is unset, empty or blank; set it in the environment of the Caddy server"
	}
	_, err := os.ReadFile(path) //nolint:gosec // the operator's own path
	if err == nil {
		return "is empty or blank; write the secret into it"
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fmt.Sprintf("cannot be read: %v; make it a file that Caddy's user may read", err)
}

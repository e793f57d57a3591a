// Package secretref resolves references to secrets, so that a configuration does not
// have to hold the secrets themselves.
//
// Caddy's own replacer is not used: it logs the name of a file that it cannot read, and
// that may be the secret, written in the wrong place. It also waits for a named pipe, and
// cuts a long file off.
package secretref

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
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
	case strings.HasPrefix(value, adaptedFile):
		return "", errors.New("{file.} has no path in it, or a single word, which Caddy takes for a part of the request's URL; write {file./path}")
	case !IsOutside(value):
		return "", errors.New("this placeholder cannot hold a secret; use {env.NAME} or {file./path}, also for a literal in braces")
	}
	source, name := cut(value)
	resolved, err := source.read(name)
	if err != nil {
		return "", fmt.Errorf("%s %w", Show(value), err)
	}
	return resolved, nil
}

// adaptedFile is what the Caddyfile adapter makes of {file.} and {file.word}.
const adaptedFile = "{http.request.uri.path.file."

// Is reports whether value as a whole is one placeholder.
func Is(value string) bool {
	return strings.HasPrefix(value, "{") && strings.IndexByte(value, '}') == len(value)-1
}

// IsOutside reports whether value is a reference to something outside the configuration: a
// variable or a file.
func IsOutside(value string) bool {
	source, _ := cut(value)
	return source != nil
}

// Path returns the path of a file that value refers to.
func Path(value string) (string, bool) {
	if source, name := cut(value); source == fromFile {
		return name, true
	}
	return "", false
}

// Show returns a reference as an error may show it. A literal secret that was written in
// the place of the name is hidden. What exists under a name is no secret.
func Show(reference string) string {
	source, name := cut(reference)
	switch {
	case source == nil:
		return mistake.Hidden
	case source.mayBeSecret(name) && !source.exists(name):
		return source.what + " " + mistake.Hidden
	}
	return reference
}

// has reports whether value contains a placeholder that names a source of secrets, or one
// that the adapter or an import left behind.
func has(value string) bool {
	for _, prefix := range []string{"{env.", "{file.", "{$", "{http.", "{system.", "{args["} { // the adapter expands {port} to {http.request.port}
		if strings.Contains(value, prefix) {
			return true
		}
	}
	return false
}

// A source is where references point to.
type source struct {
	prefix      string // of its references
	what        string // that a name stands for
	read        func(name string) (string, error)
	exists      func(name string) bool
	mayBeSecret func(name string) bool
}

var (
	fromVariable = &source{"{env.", "the variable", readVariable, isSet, mistake.VariableMayBeSecret}
	fromFile     = &source{"{file.", "the file", readSecret, isFile, mistake.PathMayBeSecret}
	sources      = []*source{fromVariable, fromFile}
)

// cut returns the source of a reference and the name in it, or nil.
func cut(value string) (*source, string) {
	for _, s := range sources {
		if name, ok := strings.CutPrefix(value, s.prefix); ok && Is(value) {
			return s, strings.TrimSuffix(name, "}")
		}
	}
	return nil, ""
}

func isSet(name string) bool {
	_, ok := os.LookupEnv(name)
	return ok
}

func isFile(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func readVariable(name string) (string, error) {
	value := os.Getenv(name)
	switch {
	case name == "":
		return "", errors.New("has no name in it; write {env.NAME}")
	case strings.TrimSpace(value) != "":
		return value, nil
	case strings.Contains(name, ":") && !isSet(name):
		return "", errors.New("has a colon in its name, and no default can be given for a secret; write {env.NAME}, and set it in the environment of the Caddy server")
	}
	return "", errors.New("is unset, empty or blank; set it in the environment of the Caddy server")
}

func readSecret(path string) (string, error) {
	if path == "" {
		return "", errors.New("has no path in it; write {file./path}")
	}
	text, err := ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cannot be read: %w; make it a file that Caddy's user may read", err)
	}
	if strings.TrimSpace(text) == "" {
		return "", errors.New("is empty or blank; write the secret into it")
	}
	return text, nil
}

package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule"
)

var updateGoldens = flag.Bool("update", false, "rewrite the goldens in testdata/adapt")

// separator stands between the Caddyfile and what becomes of it, as in Caddy's own
// caddytest/integration/caddyfile_adapt.
const separator = "----------"

// shown must never be in an error. The goldens of errors use it where a secret
// could stand.
const shown = "s3cret"

// TestAdapt turns each Caddyfile of testdata/adapt into JSON, or into the error
// that stands below it: of `caddy adapt`, or where that finds none, of `caddy
// validate`.
func TestAdapt(t *testing.T) {
	t.Setenv("WEBHOOK_SECRET", "a secret, long enough")
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			input, want := readGolden(t, file)
			got := adaptOrError(t, input, isErrorGolden(file))
			if *updateGoldens {
				golden := input + separator + "\n" + got + "\n"
				if err := os.WriteFile(file, []byte(golden), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A name decides what a golden may hold, so that -update cannot turn a broken
// parser into a new expectation.
func TestAdaptGoldensAreWhatTheyAreCalled(t *testing.T) {
	errors, configurations := 0, 0
	files, _ := filepath.Glob("testdata/adapt/*.caddyfiletest")
	for _, file := range files {
		_, want := readGolden(t, file)
		isError := isErrorGolden(file)
		if isError {
			errors++
		} else {
			configurations++
		}
		switch {
		case isError == strings.HasPrefix(want, "{"):
			t.Errorf("%s: an error golden, and no other, is called error_*", file)
		case isError && !strings.Contains(want, "webhook_auth"):
			t.Errorf("%s: the error does not name the directive: %s", file, want)
		case isError && strings.Contains(want, shown):
			t.Errorf("%s: the error shows a secret: %s", file, want)
		case !isError && !strings.Contains(want, `"handler": "webhook_auth"`):
			t.Errorf("%s: no handler in %s", file, want)
		}
	}
	if errors == 0 || configurations == 0 {
		t.Errorf("%d goldens of errors and %d of configurations; want some of each", errors, configurations)
	}
}

func isErrorGolden(file string) bool { return strings.HasPrefix(filepath.Base(file), "error_") }

// readGolden returns the Caddyfile and the expected text of a golden.
func readGolden(t *testing.T, file string) (input, want string) {
	t.Helper()
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(golden), "\r\n", "\n")
	input, want, found := strings.Cut(text, separator+"\n")
	if !found || !strings.HasSuffix(input, "\n") {
		t.Fatalf("%s: no line of ten hyphens", file)
	}
	return input, strings.TrimSpace(want)
}

// adaptOrError returns the indented JSON of a Caddyfile, or the text of the error.
func adaptOrError(t *testing.T, input string, isError bool) string {
	t.Helper()
	if formatted := string(caddyfile.Format([]byte(input))); formatted != input {
		t.Errorf("caddy fmt would change it to\n%s", formatted)
	}
	config, err := adaptCaddyfile(t, input)
	if err == nil && isError {
		err = validate(config)
	}
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\r\n", "\n")
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return indented.String()
}

// adaptCaddyfile is `caddy adapt`. A warning is a failure.
func adaptCaddyfile(t *testing.T, input string) (config []byte, err error) {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), nil)
	for _, warning := range warnings {
		t.Errorf("warning: %s", warning)
	}
	return config, err
}

package integration_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestVersion: a binary shows the version of the gateway and of Caddy, so that people can
// compare it with an advisory: at a tag, after a tag, and without a known version.
func TestVersion(t *testing.T) {
	t.Parallel()
	git := needs(t, "git")
	clone := filepath.Join(t.TempDir(), "clone")
	if err := errors.Join(os.CopyFS(clone, os.DirFS(repository)), os.RemoveAll(filepath.Join(clone, ".git"))); err != nil {
		t.Fatal(err)
	}
	outputOf(t, git, "init", "--quiet", clone)
	outputOf(t, git, "-C", clone, "add", "--all")
	outputOf(t, git, "-C", clone, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--no-verify", "--message", "all")
	outputOf(t, git, "-C", clone, "tag", "v0.98.7")
	outputOf(t, git, "-C", clone, "tag", "demo") // not a version
	wantVersion(t, buildIn(t, clone, "MODULE_VERSION="), "v0.98.7")

	// As in an unpacked archive, without git, inside another repository.
	if err := os.Rename(filepath.Join(clone, ".git"), filepath.Join(filepath.Dir(clone), ".git")); err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "git"), []byte("#!/bin/sh\nexit 127\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, buildIn(t, clone, "MODULE_VERSION=", "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH")), "")
}

// TestVersionOfTheTree: the binary that all tests run was built from this tree. git may
// know nothing about the tree, if it is an archive or another user's folder.
func TestVersionOfTheTree(t *testing.T) {
	t.Parallel()
	git := needs(t, "git")
	want := "unknown"
	if commit, err := command(t, git, "-C", repository, "rev-parse", "--short=7", "HEAD").Output(); err == nil && isClone() {
		want = strings.TrimSpace(string(commit))
	}
	if tag, err := command(t, git, "-C", repository, "describe", "--tags", "--exact-match", "--match", "v*").Output(); err == nil && isClone() {
		want = strings.TrimSpace(string(tag))
	}
	if printed := outputOf(t, binary, "version"); !strings.HasPrefix(printed, "webhook_auth ") || !strings.Contains(printed, want) {
		t.Errorf("caddy version: %q, want %q", printed, want)
	}
}

func isClone() bool {
	_, err := os.Stat(filepath.Join(repository, ".git"))
	return err == nil
}

// buildIn runs the xcaddy.sh of a clone from another folder, with an output path relative
// to that folder.
func buildIn(t *testing.T, clone string, environ ...string) string {
	t.Helper()
	cmd := command(t, filepath.Join(clone, "xcaddy.sh"))
	cmd.Dir = t.TempDir()
	cmd.Env = append(append(os.Environ(), "OUTPUT=built"), environ...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return filepath.Join(cmd.Dir, "built")
}

// wantVersion asks for the version in Caddy's three ways.
func wantVersion(t *testing.T, built, want string) {
	t.Helper()
	named, listed := want, want
	if want == "" {
		named, listed = "unknown", "v0.0.0-00010101000000-000000000000" // as Go writes it
	}
	for command, line := range map[string]string{
		"version":                 "webhook_auth " + named + " Caddy v2.",
		"list-modules --versions": "http.handlers.webhook_auth " + listed + "\n",
		"build-info":              "github.com/webhookauth/caddy-webhook-auth\t" + listed + "\n",
	} {
		if output := outputOf(t, built, strings.Fields(command)...); !strings.Contains(output, line) {
			t.Errorf("caddy %s lacks %q:\n%s", command, line, output)
		}
	}
}

func outputOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	output, err := command(t, name, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(output)
}

package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/mistake"
	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/signature"
)

// unknownCommand does not show the word: it may be a secret.
func unknownCommand(parent *cobra.Command, word string) error {
	var names []string
	for _, cmd := range parent.Commands() {
		if cmd.IsAvailableCommand() {
			names = append(names, cmd.Name())
		}
	}
	there := strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	if near := nearest(word, names); near != "" {
		return fmt.Errorf("unknown subcommand; did you mean %s? There are %s", near, there)
	}
	return fmt.Errorf("unknown subcommand; there are %s; see caddy webhook --help", there)
}

// explainFlag says what is wrong with a flag. What pflag says shows values, and all the
// letters behind a single hyphen.
func explainFlag(flags *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var valueless *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return errors.New("unknown flag with one hyphen; names of more than one letter have two, such as --config; see --help")
	case errors.As(err, &unknown):
		return unknownFlag(flags, unknown.GetSpecifiedName())
	case errors.As(err, &valueless):
		return fmt.Errorf("--%s needs a value; see --help", valueless.GetFlag().Name)
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s takes %s", invalid.GetFlag().Name, valueOf(invalid.GetFlag()))
	}
	return errors.New("a flag is not of the form --name or --name value; see --help")
}

func valueOf(flag *pflag.Flag) string {
	if flag.Value.Type() == "bool" {
		return "no value"
	}
	return "another value; see --help"
}

// unknownFlag shows a name only if it looks like one: people also write --SECRET.
func unknownFlag(flags *pflag.FlagSet, name string) error {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	shown := ""
	if len(name) <= maxFlag && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") == "" {
		shown = ": --" + name
	}
	if near := nearest(name, names); near != "" {
		return fmt.Errorf("unknown flag%s; did you mean --%s?", shown, near)
	}
	return fmt.Errorf("unknown flag%s; see --help", shown)
}

// maxFlag is longer than any flag, and shorter than any secret.
const maxFlag = 15

// unknownPreset shows the name: a secret has a flag of its own.
func unknownPreset(name string) error {
	var names []string
	for _, preset := range signature.Presets() {
		names = append(names, preset.Name)
	}
	if near := nearest(name, names); near != "" {
		return fmt.Errorf("--preset: unknown preset %q; did you mean %s?", name, near)
	}
	return fmt.Errorf("--preset: unknown preset %q; without --preset it is hub, and caddy webhook presets lists the others", name)
}

// nearest returns the name that a word is a slip for, or a part of, or "".
func nearest(word string, names []string) string {
	if near := (mistake.Set{Words: names}).Near(word); len(near) > 0 {
		return near[0]
	}
	return ""
}

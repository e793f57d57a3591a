package caddymodule_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// webhookCommands are the subcommands as Caddy registers them.
func webhookCommands(t *testing.T) []*cobra.Command {
	t.Helper()
	registered, ok := caddycmd.Commands()["webhook"]
	if !ok {
		t.Fatal("there is no command webhook")
	}
	parent := &cobra.Command{Use: "webhook"}
	registered.CobraFunc(parent)
	return parent.Commands()
}

// The table of flags knows each flag of each command, and for which it is.
func TestReferenceFlags(t *testing.T) {
	commands := webhookCommands(t)
	var all []string
	for _, command := range commands {
		all = append(all, command.Name())
	}
	slices.Sort(all)
	want := make(map[string][]string)
	for _, command := range commands {
		command.Flags().VisitAll(func(f *pflag.Flag) {
			name := "--" + f.Name
			if f.Shorthand != "" {
				name += " -" + f.Shorthand
			}
			if !f.Hidden {
				want[name] = append(want[name], command.Name())
			}
		})
	}
	table := make(map[string]bool)
	for _, row := range documentTable(t, reference, "### Flags of caddy webhook") {
		table[row[0]] = true
		for_ := strings.Fields(row[1])
		if row[1] == "all" {
			for_ = all
		}
		slices.Sort(want[row[0]])
		if !slices.Equal(want[row[0]], for_) {
			t.Errorf("%s is for %v, in the table for %v", row[0], want[row[0]], for_)
		}
	}
	for name := range maps.Keys(want) {
		if !table[name] {
			t.Errorf("the table has no row for %s", name)
		}
	}
}

package command

import (
	"fmt"

	"github.com/spf13/cobra"
)

const helpCheck = `
Looks for what breaks the promise of a gate in the configuration around it: ways to an
app that pass no gate, gates that no request meets or that nothing answers behind,
handlers that receive refused requests, secrets that others know or can read.

    $ caddy webhook check
    warning way_around: gate hub, upstream localhost:3000, server srv0, paths /admin: …

One line each: what, where, and the cure. A finding that is an error keeps the
configuration from loading. "caddy validate" provisions and does not start, so that it
sees less. A note needs no change, and does not count.

A way around a gate that is meant, such as a website that takes webhooks too, is named
in the global options, and then no longer found:

    webhook_auth {
        unguarded localhost:3000
    }

Exit status: 0 nothing was found; 1 something was; 2 it could not be checked.
`

func checkCommand(g Gateway) *cobra.Command {
	cmd, _ := g.subcommand("check", "Looks for ways around the gates of a configuration", helpCheck, (*command).check)
	return cmd
}

func (c *command) check() error {
	if err := c.noArguments(); err != nil {
		return err
	}
	config, err := c.load()
	if err != nil {
		return err
	}
	details := []fmt.Stringer{} // in JSON a list, also where it is empty
	for _, f := range config.Findings {
		c.failed = c.failed || !f.Note
		details = append(details, f.Detail)
	}
	if c.out.json {
		return c.out.object(struct {
			Gates    int            `json:"gates"`
			Findings []fmt.Stringer `json:"findings"`
		}{len(config.Gates), details})
	}
	for _, detail := range details {
		if err := c.out.text(detail.String()); err != nil {
			return err
		}
	}
	if c.failed {
		return nil
	}
	return c.out.text(fmt.Sprintf("no findings; gates: %d", len(config.Gates)))
}

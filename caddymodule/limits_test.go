package caddymodule

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/webhookauth/caddy-webhook-auth/caddymodule/replay/redis"
)

// provisionJSON loads a gate, or the app webhook_auth, from its JSON.
func provisionJSON(t *testing.T, app bool, text string) error {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if app {
		_, err = ctx.LoadModuleByID("webhook_auth", json.RawMessage(text))
		return err
	}
	_, err = ctx.LoadModuleByID("http.handlers.webhook_auth", json.RawMessage(text))
	return err
}

// numbers are all options that hold a time or a size. %s is where the value stands.
var numbers = []struct {
	option, json string
	app          bool
	time         bool
	good         string
	text         string // in a Caddyfile
}{
	{"max_size", `"max_size":%s`, false, false, "1099511627776", "max_size %s"},
	{"memory", `"memory":%s`, false, false, "1099511627776", "memory %s"},
	{"memory_budget", `"memory_budget":%s`, true, false, "1099511627776", ""},
	{"disk_budget", `"disk_budget":%s`, true, false, "1125899906842624", ""},
	{"tolerance", `"timestamp":"X-Time","payload":"{ts}.{body}","tolerance":%s`, false, true, `"24h"`, "timestamp X-Time\npayload {ts}.{body}\ntolerance %s"},
	{"body_timeout", `"body_timeout":%s`, false, true, `"24h"`, "body_timeout %s"},
	{"delivery_timeout", `"delivery_timeout":%s`, false, true, `"24h"`, "delivery_timeout %s"},
	{"replay", `"replay":{"window":%s}`, false, true, `"366d"`, "replay %s"},
	{"max_entries", `"replay":{"window":"1h","store":{"store":"memory","max_entries":%s}}`, false, false, "100000000", "replay 1h {\nstore memory {\nmax_entries %s\n}\n}"},
	{"timeout", `"replay":{"window":"1h","store":{"store":"redis","timeout":%s}}`, false, true, `"1m"`, "replay 1h {\nstore redis {\ntimeout %s\n}\n}"},
	{"wait_replicas", `"replay":{"window":"1h","store":{"store":"redis","wait_replicas":%s}}`, false, false, "16", "replay 1h {\nstore redis {\nwait_replicas %s\n}\n}"},
}

// What is beyond a limit does not load, from whichever language: the sum of a time
// and now would be in the past.
func TestNumbersAreBounded(t *testing.T) {
	for _, n := range numbers {
		gate := func(value string) string {
			if n.app {
				return "{" + fmt.Sprintf(n.json, value) + "}"
			}
			return fmt.Sprintf(`{"name":"bounds","secrets":[{"value":%q}],`+n.json+"}", testSecret, value)
		}
		if err := provisionJSON(t, n.app, gate(n.good)); err != nil {
			t.Errorf("%s %s: %v", n.option, n.good, err)
		}
		bad := []string{"-1", fmt.Sprint(math.MaxInt64), fmt.Sprint(math.MinInt64), fmt.Sprint(math.MaxInt64 - 1), "9223372036854775808"}
		if n.time {
			bad = append(bad, `"-1s"`, `"106751d"`, `"2562047h47m16s"`, `"2562047h47m16.854775807s"`, `"1000d"`, `"2562048h"`)
		}
		for _, value := range bad {
			err := provisionJSON(t, n.app, gate(value))
			if err == nil || !strings.Contains(err.Error(), n.option) && !strings.Contains(err.Error(), "unmarshal") && !strings.Contains(err.Error(), "decoding") {
				t.Errorf("%s %s: error %v", n.option, value, err)
			}
		}
	}
}

// The same in a Caddyfile, where the block of a store is read by the store.
func TestNumbersAreBoundedInACaddyfile(t *testing.T) {
	for _, n := range numbers {
		if n.app {
			continue
		}
		bad := []string{"9EiB", "7EiB", "2TiB"}
		switch {
		case n.time:
			bad = []string{"-1s", "106751d", "2562047h47m16s", "1000d", "2562048h"}
		case n.option == "max_entries":
			bad = []string{"-1", "100000001", "9223372036854775807"}
		}
		for _, value := range bad {
			h := new(Handler)
			block := "webhook_auth {\nname bounds\nsecret " + testSecret + "\n" + fmt.Sprintf(n.text, value) + "\n}"
			err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(block))
			if err == nil {
				ctx, _ := caddy.ProvisionContext(&caddy.Config{})
				err = h.Provision(ctx)
			}
			if err == nil || !strings.Contains(err.Error(), n.option) {
				t.Errorf("%s %s: error %v", n.option, value, err)
			}
		}
	}
}

// A store written by someone else is given a window that is within the limit, too.
func TestWindowOfAForeignStore(t *testing.T) {
	for _, window := range []string{`"106751d"`, "-1", "1"} {
		text := fmt.Sprintf(`{"name":"bounds","secrets":[{"value":%q}],"replay":{"window":%s,"store":{"store":"foreign"}}}`, testSecret, window)
		if err := provisionJSON(t, false, text); err == nil || !strings.Contains(err.Error(), "replay: it must be from 1s to 366d") {
			t.Errorf("%s: error %v", window, err)
		}
	}
}

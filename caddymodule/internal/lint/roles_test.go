package lint

import (
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// Every handler of this Caddy has a role, so that a new one is noticed.
func TestRoles(t *testing.T) {
	looked := []string{"http.handlers.reverse_proxy", "http.handlers.file_server", "http.handlers.headers"}
	for _, module := range caddy.GetModules("http.handlers") {
		if _, ok := standardRoles[string(module.ID)]; !ok && !slices.Contains(looked, string(module.ID)) {
			t.Errorf("%s has no role", module.ID)
		}
	}
	if len(standardRoles) == 0 {
		t.Error("no roles")
	}
}

package deploy_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// TestDashboardSchema reads the dashboard with Grafana's own types, which know the panels and
// the queries of Prometheus too: no field is unknown, missing, or of another type.
func TestDashboardSchema(t *testing.T) {
	plugins.RegisterDefaultPlugins()
	raw := []byte(read(t, filepath.Join("monitoring", "dashboard.json")))
	var d dashboard.Dashboard
	if err := d.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" { // an empty list of errors is none
		t.Error(err)
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}

package limits_test

import (
	"math"
	"testing"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/limits"
)

func TestCheck(t *testing.T) {
	for _, tc := range []struct {
		limit limits.Limit
		value int64
		want  string
	}{
		{limits.MaxSize, 0, ""},
		{limits.MaxSize, 1, ""},
		{limits.MaxSize, 1 << 40, ""},
		{limits.MaxSize, 1<<40 + 1, "max_size: it must be from 1B to 1TiB, not 1099511627777B"},
		{limits.MaxSize, -1, "max_size: it must be from 1B to 1TiB, not -1B"},
		{limits.Memory, 2 << 40, "memory: it must be from 1B to 1TiB, not 2TiB"},
		{limits.DiskBudget, math.MaxInt64, "disk_budget: it must be from 1B to 1PiB, not 9223372036854775807B"},
		{limits.DiskBudget, math.MinInt64, "disk_budget: it must be from 1B to 1PiB, not -8192PiB"},
		{limits.BodyTimeout, 30, "body_timeout: it must be from 1ms to 24h, not 30ns"},
		{limits.DeliveryTimeout, int64(48 * time.Hour), "delivery_timeout: it must be from 1ms to 24h, not 2d"},
		{limits.DeliveryTimeout, int64(24 * time.Hour), ""},
		{limits.Window, int64(106751 * 24 * time.Hour), "replay: it must be from 1s to 366d, not 106751d"},
		{limits.Window, math.MaxInt64, "replay: it must be from 1s to 366d, not 2562047h47m16.854775807s"},
		{limits.Window, int64(366 * 24 * time.Hour), ""},
		{limits.Window, int64(time.Second - 1), "replay: it must be from 1s to 366d, not 999.999999ms"},
		{limits.MaxEntries, -1, "max_entries: it must be from 1 to 100000000, not -1"},
		{limits.WaitReplicas, 17, "wait_replicas: it must be from 1 to 16, not 17"},
		{limits.StoreTimeout, int64(5 * time.Minute), "timeout: it must be from 1ms to 1m, not 5m"},
	} {
		err := tc.limit.Check(tc.value)
		if got := text(err); got != tc.want {
			t.Errorf("%d: %q, want %q", tc.value, got, tc.want)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestClamp(t *testing.T) {
	for value, want := range map[int64]time.Duration{
		math.MinInt64: time.Second, -1: time.Second, 0: time.Second, int64(time.Hour): time.Hour, math.MaxInt64: 366 * 24 * time.Hour,
	} {
		if got := limits.Window.Clamp(value); got != int64(want) {
			t.Errorf("%d: %d, want %d", value, got, want)
		}
	}
}

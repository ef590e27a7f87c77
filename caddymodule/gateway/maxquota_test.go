package gateway

import (
	"testing"

	"github.com/edgegate/edgegate/ratelimit/quota"
	"github.com/edgegate/edgegate/routing/projects"
)

// What configurations may say is what an authority can count: neither package imports the other.
func TestMaxQuotaIsMaxLimit(t *testing.T) {
	if projects.MaxQuota != quota.MaxLimit {
		t.Errorf("%d and %d", int64(projects.MaxQuota), int64(quota.MaxLimit))
	}
}

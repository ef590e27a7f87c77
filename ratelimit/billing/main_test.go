package billing

import (
	"os"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

func TestMain(m *testing.M) {
	redisconn.SetLogger(nil) // stores that are away are no news
	os.Exit(m.Run())
}

package rate

import (
	"os"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

func TestMain(m *testing.M) {
	redisconn.SetLogger(nil) // servers are away on purpose here
	os.Exit(m.Run())
}

package billing

import (
	"log/slog"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// Settings say how the engine works. They may change while requests are counted.
type Settings struct {
	// Sync bounds how much of the log is lost when the machine stops. Default:
	// metering.SyncGroup.
	Sync metering.Sync
	// Redis is the store that gateways share. Default: none, the gateway keeps
	// everything in its directory.
	Redis *redisconn.Config
	// Logger is told what happens in the background. Default: slog.Default().
	Logger *slog.Logger
}

package logs

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// The Redis client's messages go to the logger of the last configuration, without secrets, at most one a second.
func TestUseForRedis(t *testing.T) {
	oldCore, oldLogs := observer.New(zapcore.DebugLevel)
	core, logs := observer.New(zapcore.DebugLevel)
	UseForRedis(zap.New(oldCore))
	UseForRedis(zap.New(core))
	for range 3 {
		logRedisMessage("dial redis://user:" + marker + "@host:6379 failed")
	}
	if oldLogs.Len() != 0 || logs.Len() != 1 {
		t.Fatalf("%d lines of the old logger, %d of the new one", oldLogs.Len(), logs.Len())
	}
	entry := logs.All()[0]
	if said := entry.ContextMap()["said"]; entry.Level != zap.WarnLevel || entry.Message != "Redis client" || said != "dial redis://REDACTED@host:6379 failed" {
		t.Errorf("%s %q %v", entry.Level, entry.Message, said)
	}
}

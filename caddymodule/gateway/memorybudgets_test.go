package gateway

import "testing"

// Contract 9.6, 9.7: a budget that is too small for anything is refused in JSON too; without one the default holds.
func TestMemoryCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		memory *Memory
		want   string
	}{
		"none":     {nil, ""},
		"defaults": {&Memory{}, ""},
		"smallest": {&Memory{Replay: 1 << 20, Tokens: 1 << 20, Limits: 1 << 20}, ""},
		"replay":   {&Memory{Replay: 64}, "memory replay: 64 bytes are too few, it must be at least 1MiB"},
		"tokens":   {&Memory{Replay: 1 << 30, Tokens: 1<<20 - 1}, "memory tokens: 1048575 bytes are too few, it must be at least 1MiB"},
		"limits":   {&Memory{Limits: -1}, "memory limits: -1 bytes are too few, it must be at least 1MiB"},
	} {
		got := ""
		if err := tt.memory.check(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

package events

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
)

// hash is a Shared in memory with a clock of its own; err is what it answers while it is away.
type hash struct {
	mu     sync.Mutex
	fields map[string]string
	err    error
	ahead  time.Duration
	most   int // fields that it ever had
}

func (h *hash) HashAll(context.Context, string) (map[string]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.fields), h.err
}

func (h *hash) HashLen(context.Context, string) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.fields), h.err
}

func (h *hash) HashSetAll(_ context.Context, _ string, values map[string]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		if h.fields == nil {
			h.fields = make(map[string]string)
		}
		maps.Copy(h.fields, values)
		h.most = max(h.most, len(h.fields))
	}
	return h.err
}

func (h *hash) HashDelete(_ context.Context, _ string, fields ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		for _, f := range fields {
			delete(h.fields, f)
		}
	}
	return h.err
}

func (h *hash) Time(context.Context) (time.Time, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead), h.err
}

func (h *hash) set(err error, ahead time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err, h.ahead = err, ahead
}

// running runs a log until the returned function is called.
func running(t *testing.T, l *Log, c Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	l.Use(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, c)
	}()
	return func() {
		cancel()
		<-done
	}
}

// told lists events in short.
func told(list []Event) (lines []string) {
	for _, e := range list {
		line := fmt.Sprintf("%s %s %s %s>%s", e.Gateway, e.What, e.Name, e.From, e.To)
		if e.Omitted > 0 {
			line += fmt.Sprintf(" (%d)", e.Omitted)
		}
		lines = append(lines, line)
	}
	return lines
}

func expect(t *testing.T, when string, got []Event, want ...string) {
	t.Helper()
	if lines := told(got); !slices.Equal(lines, want) {
		t.Errorf("%s:\n%s\nwant\n%s", when, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

var down = Change{"region", "eu-west-1", "up", "down", "refused"}

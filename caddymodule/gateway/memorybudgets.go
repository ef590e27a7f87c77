package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions/spelling"
)

// Memory bounds the memory that callers can make the gateway use, in bytes for all
// calls together (contract 9.6, 9.7). A change applies at once; memory that is in use
// is not taken away.
type Memory struct {
	// Request bodies that are kept to be sent again. A body that finds no room is
	// not kept: its call goes on, and is not sent a second time. Default: 64 MiB.
	Replay int64 `json:"replay,omitempty"`

	// Tokens whose signatures were checked. One that finds no room is checked
	// again. Default: 64 MiB.
	Tokens int64 `json:"tokens,omitempty"`

	// Buckets of rate limits that are not full. New clients that find no room share
	// 1,024 buckets. Default: 64 MiB.
	Limits int64 `json:"limits,omitempty"`
}

// leastBudget is the smallest budget, in bytes: a smaller one is probably a number
// without its unit.
const leastBudget = 1 << 20

// budgets returns the budgets with their names, in the order of the manual.
func (m *Memory) budgets() []struct {
	name  string
	bytes *int64
} {
	return []struct {
		name  string
		bytes *int64
	}{{"replay", &m.Replay}, {"tokens", &m.Tokens}, {"limits", &m.Limits}}
}

func (m *Memory) check() error {
	if m == nil {
		return nil
	}
	for _, b := range m.budgets() {
		if *b.bytes != 0 && *b.bytes < leastBudget {
			return fmt.Errorf("memory %s: %d bytes are too few, it must be at least 1MiB", b.name, *b.bytes)
		}
	}
	return nil
}

// applyMemory puts the budgets into force.
func (a *App) applyMemory() {
	m := a.Memory
	if m == nil {
		m = new(Memory)
	}
	a.shared.replay.Resize(m.Replay)
	a.shared.tokens.Resize(m.Tokens)
	a.shared.limiter.Resize(m.Limits)
}

// parseMemory reads `memory replay|tokens|limits SIZE`.
func (a *App) parseMemory(d *caddyfile.Dispenser) error {
	args, err := options.PlainArguments(d, 2, 2)
	if err != nil {
		return err
	}
	if a.Memory == nil {
		a.Memory = new(Memory)
	}
	var names []string
	for _, b := range a.Memory.budgets() {
		names = append(names, b.name)
		if b.name != args[0] {
			continue
		}
		if *b.bytes != 0 {
			return d.Errf("memory %s: given twice, keep one", b.name)
		}
		value, err := humanize.ParseBytes(args[1])
		if err != nil || value < leastBudget || value > 1<<62 {
			return d.Errf("memory %s %q: must be a size of at least 1MiB, such as 64MiB", b.name, args[1])
		}
		*b.bytes = int64(value)
	}
	if !slices.Contains(names, args[0]) {
		return d.Errf("memory %q: allowed are %s%s", args[0], strings.Join(names, ", "), spelling.DidYouMean(args[0], names))
	}
	return nil
}

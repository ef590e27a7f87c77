package simulation

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"
)

//go:embed scenarios/*.yaml
var library embed.FS

// scenarioNames are those that come with the gateway, in the order in which they
// are shown.
var scenarioNames = []string{
	"normal", "client", "down", "blackhole", "slow", "resets", "half", "flapping", "overload", "added", "noise", "drain",
}

// Names returns the names of the scenarios that come with the gateway.
func Names() []string { return append([]string(nil), scenarioNames...) }

// Load returns a scenario that comes with the gateway.
func Load(name string) (*Scenario, error) {
	text, err := library.ReadFile(path.Join("scenarios", name+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(scenarioNames, ", "))
	}
	return ReadScenario(bytes.NewReader(text))
}

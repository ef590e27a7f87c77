package simulation

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/edgegate/edgegate/regions/spelling"
)

//go:embed scenarios/*.yaml
var library embed.FS

var scenarioNames = []string{
	"normal", "client", "down", "blackhole", "slow", "resets", "half", "flapping", "overload", "added", "noise", "drain",
}

// Names returns the names of the scenarios that come with the gateway, in the
// order in which they are shown.
func Names() []string { return slices.Clone(scenarioNames) }

// Load returns a scenario that comes with the gateway.
func Load(name string) (*Scenario, error) {
	text, err := library.ReadFile(path.Join("scenarios", name+".yaml"))
	if err != nil {
		hint := "there are " + strings.Join(scenarioNames, ", ")
		if near, ok := spelling.ClosestName(name, scenarioNames); ok {
			hint = "did you mean " + near + "?"
		}
		return nil, fmt.Errorf("no scenario has the name %q; %s", name, hint)
	}
	return ReadScenario(bytes.NewReader(text))
}

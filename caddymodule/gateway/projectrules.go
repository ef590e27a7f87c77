package gateway

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/projects"
)

// ProjectRules returns the rules by which projects are checked in a configuration, which
// is given as Caddy's JSON: its apex, regions and plans. It opens no files or connections.
func ProjectRules(config []byte) (projects.BuilderConfig, error) {
	var document struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(config, &document); err != nil {
		return projects.BuilderConfig{}, fmt.Errorf("reading the configuration: %w", err)
	}
	raw, ok := document.Apps["edge_functions"]
	if !ok {
		return projects.BuilderConfig{}, errors.New("the configuration has no edge_functions global option")
	}
	app := new(App)
	if err := json.Unmarshal(raw, app); err != nil {
		return projects.BuilderConfig{}, fmt.Errorf("reading the configuration of edge_functions: %w", err)
	}
	set, err := app.regionSet()
	if err != nil {
		return projects.BuilderConfig{}, err
	}
	return app.projectRules(set), nil
}

// ResolveKey is options.ResolveSecret for keys and secrets that no builder of
// projects checks: it refuses what cannot have been meant as one, such as a PEM
// file or a text with typographic quotation marks.
func ResolveKey(text string) (string, error) {
	resolved, err := options.ResolveSecret(text)
	if err == nil {
		err = projects.CheckSecret(resolved)
	}
	return resolved, err
}

// projectRules returns the rules by which projects are checked in this
// configuration.
func (a *App) projectRules(set *regions.Set) projects.BuilderConfig {
	return projects.BuilderConfig{
		Apex:           a.Apex,
		Regions:        set.Names(),
		Plans:          a.plans(),
		Resolve:        options.ResolveSecret,
		PrivateKeySets: a.JWKSPrivate,
	}
}

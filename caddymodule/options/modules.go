package options

import (
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// ModuleNames returns the names of the Caddy modules in a namespace, sorted:
// what may follow an option that takes a module.
func ModuleNames(namespace string) []string {
	modules := caddy.GetModules(namespace)
	names := make([]string, 0, len(modules))
	for _, module := range modules {
		names = append(names, module.ID.Name())
	}
	slices.Sort(names)
	return names
}

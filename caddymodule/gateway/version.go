package gateway

import "runtime/debug"

// version is set by release builds with -ldflags -X.
var version string

const modulePath = "github.com/edgegate/edgegate"

// Version returns the version of the gateway: a release's, the version it was
// built into another binary with, or "devel".
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == modulePath && m.Version != "" && m.Version != "(devel)" {
				return m.Version
			}
		}
	}
	return "devel"
}

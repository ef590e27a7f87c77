package gateway

import (
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing/projects"
)

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

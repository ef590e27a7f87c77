//go:build e2e && soak

package e2e

func init() {
	meteringKills = 100
	meteringReloads = 1000
}

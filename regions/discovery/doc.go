// Package discovery finds the backends of a region: by DNS, or by whatever else
// implements a Source. It keeps nothing and connects to name servers only.
package discovery

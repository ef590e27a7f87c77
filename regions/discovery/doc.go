// Package discovery finds the backends of a region: by DNS, or by whatever else
// implements a Source. It connects to name servers only, and decides nothing about
// the backends that it finds.
package discovery

// Package bench measures what the gateway costs beside Caddy's own
// reverse_proxy: the real binary serves both, side by side in one process, and
// the processor time of that process is counted. It decides nothing else; no
// test depends on a time.
package bench

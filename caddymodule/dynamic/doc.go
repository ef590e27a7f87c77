// Package dynamic reads the option `dynamic` of a region, which has the words of the
// option of reverse_proxy, and makes sources of backends of it. The modules `a`, `srv`
// and `multi` are Caddy's in name and options; their look-ups are those of package
// discovery. Other modules of the namespace are asked as they are. It connects to
// nothing before the first look-up.
package dynamic

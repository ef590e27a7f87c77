package audit

import (
	"net"
	"net/url"
)

// Unencrypted reports whether a URL is one of plain HTTP on another machine.
func Unencrypted(location string) bool {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip == nil || !ip.IsLoopback()
}

package demo

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// caddyfile writes the configuration a user would write for one project in three regions. The site takes any host and
// is restricted by `bind`: with `http://localhost:8000` as its address, a request to 127.0.0.1:8000 would find no site and get Caddy's
// empty 200. HTTP/1.1 alone is named since HTTP/2 and 3 need TLS and Caddy would warn about both.
func (d *demo) caddyfile() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{
	admin %s
	persist_config off
	auto_https off
	grace_period 5s
	log {
		output stderr
		format edge_functions {
			wrap console
		}
		level WARN
	}
	servers {
		protocols h1
	}
	edge_functions {
		location %s
		store embedded %s
`, d.admin, gatewayLocation, strconv.Quote(d.state))
	for _, r := range d.regions {
		fmt.Fprintf(&b, "\t\tregion %s {\n\t\t\tbackend http://%s\n\t\t}\n", r.name, r.addr)
	}
	fmt.Fprintf(&b, `		project default {
			jwt_secret %s
			api_key publishable %s
			api_key secret %s
`, d.keys.jwtSecret, d.keys.publishable, d.keys.secret)
	for _, f := range d.runtime.functions() {
		fmt.Fprintf(&b, "\t\t\tfunction %s", f.slug)
		if !f.verifyJWT {
			b.WriteString(" {\n\t\t\t\tverify_jwt off\n\t\t\t}")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\t\t}\n\t}\n}\nhttp://:%d {\n", d.listen.port)
	if len(d.listen.bind) > 0 {
		b.WriteString("\tbind")
		for _, host := range d.listen.bind {
			if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
				host = "[" + host + "]"
			}
			b.WriteString(" " + host)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\tedge_functions\n}\n")
	return []byte(b.String())
}

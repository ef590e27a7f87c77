package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
)

// try is one line to paste and what to look at in its answer.
type try struct {
	title string
	curl  string
	look  string
}

// announce prints what a visitor needs: where it is, the keys, the regions, and lines that work as they stand.
func (d *demo) announce(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "edgegate demo is running on %s  (ctrl-C stops it)\n\n", d.listen.url())
	fmt.Fprintf(&b, "anon JWT         %s\n", d.keys.anon)
	fmt.Fprintf(&b, "publishable key  %s\n", d.keys.publishable)
	fmt.Fprintf(&b, "secret key       %s\n\n", d.keys.secret)

	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "region\tround trip\tbackend\n")
	for _, r := range d.regions {
		fmt.Fprintf(table, "%s\t%s\thttp://%s\n", r.name, r.delay, r.addr)
	}
	_ = table.Flush() // a strings.Builder never fails
	fmt.Fprintf(&b, "the gateway stands in %s\n\n", gatewayLocation)

	functions := d.runtime.functions()
	b.WriteString("functions  ")
	for _, f := range functions {
		b.WriteString(" " + f.slug)
		if !f.verifyJWT {
			b.WriteString("*")
		}
	}
	b.WriteString("   (* verify_jwt off: callable without a key)\n")

	for i, t := range d.tries(functions) {
		fmt.Fprintf(&b, "\n%d. %s\n%s\n   -> %s\n", i+1, t.title, t.curl, t.look)
	}
	nearest, next := d.regions[0], d.regions[1]
	fmt.Fprintf(&b, "\nBreak something: cut %s off for 30 seconds, then call 1 again.\n", nearest.name)
	fmt.Fprintf(&b, "curl -X POST 'http://%s/_internal/outage?for=30s'\n", nearest.addr)
	fmt.Fprintf(&b, "   -> x-sb-edge-region: %s and x-sb-region-reason: failover;\n", next.name)
	fmt.Fprintf(&b, "      with -H 'x-region: %s' it is 503, sb-error-code: REGION_UNAVAILABLE: a named region is never replaced\n", nearest.name)
	fmt.Fprintf(&b, "\nLook inside with the other commands, in another terminal:\n")
	address := ""
	if d.admin != caddy.DefaultAdminListen {
		address = " --address " + d.admin
	}
	fmt.Fprintf(&b, "   edgegate status%s\n   edgegate explain%s\n", address, address)
	fmt.Fprintf(&b, "   (`go run ./cmd/edgegate status%s` in the repository)\n", address)
	_, err := io.WriteString(w, b.String())
	return err
}

// tries are five lines for the samples; for a folder of functions, those of them that fit any function.
func (d *demo) tries(functions []function) []try {
	base := d.listen.url() + "/functions/v1/"
	jwt := fmt.Sprintf("-H 'Authorization: Bearer %s'", d.keys.anon)
	key := fmt.Sprintf("-H 'apikey: %s'", d.keys.publishable)
	nearest, far := d.regions[0], d.regions[1]
	hello, verified := pick(functions)

	tries := []try{{
		title: "Call a function: it runs in the nearest region.",
		curl:  fmt.Sprintf("curl -i '%s' %s -H 'Content-Type: application/json' -d '{\"name\":\"Ada\"}'", base+hello, jwt),
		look:  fmt.Sprintf("x-sb-edge-region: %s and x-sb-region-reason: nearest", nearest.name),
	}, {
		title: "Name the region, as supabase-js does with { region }; the publishable key serves as well as the JWT.",
		curl:  fmt.Sprintf("curl -i '%s' %s -H 'x-region: %s' -d '{}' -w '\\n%%{time_total} s\\n'", base+hello, key, far.name),
		look:  fmt.Sprintf("x-sb-edge-region: %s, x-sb-region-reason: explicit, and %s more on the way", far.name, far.delay),
	}}
	if verified {
		tries = append(tries, try{
			title: "Call it without a key.",
			curl:  fmt.Sprintf("curl -i '%s'", base+hello),
			look:  "401, sb-error-code: UNAUTHORIZED_NO_AUTH_HEADER, and no region was troubled",
		})
	}
	if _, ok := d.runtime.(samples); ok {
		third := d.regions[2]
		tries = append(tries, try{
			title: "Get a page: on a shared host no function can serve HTML to a browser.",
			curl:  fmt.Sprintf("curl -i '%s'", base+"page"),
			look:  "content-type: text/plain, x-content-type-options: nosniff, the same bytes (try it in a browser)",
		}, try{
			title: fmt.Sprintf("Listen to a clock in %s: a stream passes unbuffered, an event a second (here for 5).", third.name),
			curl:  fmt.Sprintf("curl -iN -m 5 '%s' -H 'x-region: %s'", base+"clock", third.name),
			look:  fmt.Sprintf("content-type: text/event-stream and x-sb-edge-region: %s", third.name),
		})
	}
	return tries
}

// pick chooses the function of the curl lines: hello if there is one, else the first that verifies a JWT, else the first.
func pick(functions []function) (slug string, verified bool) {
	best := functions[0]
	for _, f := range functions {
		if f.slug == "hello" {
			return f.slug, f.verifyJWT
		}
		if f.verifyJWT && !best.verifyJWT {
			best = f
		}
	}
	return best.slug, best.verifyJWT
}

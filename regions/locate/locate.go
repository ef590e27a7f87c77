// Package locate finds out where a client is: from headers that a trusted
// proxy sets, else from databases of addresses in the MMDB format, of MaxMind
// and of those who lay theirs out alike. It does not know which proxies are
// trusted, nor what a place is good for: package regions does.
//
// It uses no network: databases are files that something else updates.
package locate

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/edgegate/edgegate/regions/geo"
)

// recheck is how often the databases' files are looked at.
const recheck = 2 * time.Second

// unknown is the Source of a client that nothing is known of.
const unknown = "unknown"

// Config says what to ask, in order. Headers come before databases.
type Config struct {
	// Headers carry a country's ISO 3166-1 alpha-2 code. With CF-IPCountry,
	// CloudFront-Viewer-Country and X-Vercel-IP-Country come coordinates in the
	// headers that those networks set beside them. List only what the proxies
	// in front overwrite, or clients choose their own place.
	Headers []string
	// MMDB are paths of databases.
	MMDB []string
}

// Validate returns everything that is wrong with the configuration. It opens
// nothing.
func (c *Config) Validate() error {
	var problems []error
	for i, name := range c.Headers {
		same := func(other string) bool { return strings.EqualFold(name, other) }
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			problems = append(problems, fmt.Errorf("header %q: no header has such a name", name))
		case slices.ContainsFunc(c.Headers[:i], same):
			problems = append(problems, fmt.Errorf("header %q: it is listed twice", name))
		}
	}
	for i, path := range c.MMDB {
		switch {
		case path == "":
			problems = append(problems, errors.New("mmdb: the path is missing"))
		case slices.Contains(c.MMDB[:i], path):
			problems = append(problems, fmt.Errorf("mmdb %q: it is listed twice", path))
		}
	}
	return errors.Join(problems...)
}

// Locator finds clients. It is safe for concurrent use.
type Locator struct {
	headers   []family
	databases []*database
}

// New returns a Locator whose databases are not open yet, or what is wrong
// with the configuration.
func New(c Config) (*Locator, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := new(Locator)
	for _, name := range c.Headers {
		l.headers = append(l.headers, familyOf(name))
	}
	for _, path := range c.MMDB {
		l.databases = append(l.databases, newDatabase(path))
	}
	return l, nil
}

// Open reads the databases. All must be there and in order: a gateway that
// starts without one would send everybody astray, and nobody would know why.
func (l *Locator) Open() error {
	var problems []error
	for _, d := range l.databases {
		d.refresh()
		if status := d.status(); status.Err != nil {
			problems = append(problems, status.Err)
		}
	}
	return errors.Join(problems...)
}

// Check returns why databases could not be opened as they are now, and changes
// nothing: where a configuration is checked they may not be there yet.
func (l *Locator) Check() []error {
	var problems []error
	for _, d := range l.databases {
		if _, err := read(d.path); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// Run reads databases again when their files change, until ctx ends. One that
// cannot be read leaves the last good one in place; Status tells.
func (l *Locator) Run(ctx context.Context) {
	if len(l.databases) == 0 {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	for _, d := range l.databases {
		running.Go(func() {
			ticks := time.NewTicker(recheck)
			defer ticks.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticks.C:
					d.refresh()
				}
			}
		})
	}
}

// Status returns the state of each database, in the order of the configuration.
func (l *Locator) Status() []Status {
	list := make([]Status, len(l.databases))
	for i, d := range l.databases {
		list[i] = d.status()
	}
	return list
}

// Locate returns where a client is, by the first source that knows its country
// or its coordinates. The headers are read, by their canonical names, only if
// the request came from a trusted proxy. Its Source is "header:NAME",
// "mmdb:FILE" without the directory, or "unknown".
func (l *Locator) Locate(header func(name string) string, trusted bool, clientIP netip.Addr) geo.Client {
	if trusted {
		for i := range l.headers {
			if client, ok := l.headers[i].client(header); ok {
				return client
			}
		}
	}
	clientIP = clientIP.Unmap().WithZone("")
	if public(clientIP) {
		for _, d := range l.databases {
			if client, ok := d.client(clientIP); ok {
				return client
			}
		}
	}
	return geo.Client{Source: unknown}
}

// sharedSpace is what carriers use inside (RFC 6598): whose address it is,
// nobody outside can tell.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether a database can know an address.
func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip)
}

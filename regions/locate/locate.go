// Package locate finds the place of a client: from headers that a trusted proxy
// sets, else from IP databases in the MMDB format, by MaxMind and others with the
// same layout.
//
//	locator, err := locate.New(locate.Config{Headers: []string{"CF-IPCountry"}})
//	if err == nil {
//		err = locator.Open()
//	}
//	client := locator.Locate(header.Get, trusted, clientIP)
//
// It does not decide which proxies are trusted, nor which region suits a client.
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

// recheck is how often the databases' files are checked for changes.
const recheck = 2 * time.Second

// unknown is the Source of a client whose place is unknown.
const unknown = "unknown"

// Config lists the sources, in order. Headers come before databases.
type Config struct {
	// Headers carry a country's ISO 3166-1 alpha-2 code. For CF-IPCountry,
	// CloudFront-Viewer-Country and X-Vercel-IP-Country the coordinates in the
	// networks' other headers are used too. List only headers that the proxies in
	// front overwrite, or clients choose their own place.
	Headers []string
	// MMDB are paths of databases.
	MMDB []string
}

// Validate returns all mistakes of the configuration, joined. It opens nothing.
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

// New returns a Locator whose databases are not open yet, or the error of Validate.
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

// Open reads the databases. It fails if any cannot be read: a gateway that starts
// without one would misroute everybody silently.
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

// Check returns the errors of databases that could not be opened now. It changes
// nothing: while a configuration is only checked, its databases may be missing.
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
// cannot be read leaves the last good one in place; Status has the error.
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

// Locate returns the place of a client, by the first source that knows its country
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

// sharedSpace has the addresses that carriers use inside their networks (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether a database can have an entry for an address.
func public(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedSpace.Contains(ip)
}

package discovery

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// DefaultInterval is the time between two look-ups of a source that names none.
	DefaultInterval = 5 * time.Second
	// MinInterval is the shortest time between two look-ups.
	MinInterval = time.Second
	// LookupTimeout bounds one look-up.
	LookupTimeout = 3 * time.Second
	// MaxEndpoints is the most endpoints that are used of one source. Of more, the
	// first ones by address are.
	MaxEndpoints = 1000
)

// Source finds the backends of a region.
type Source struct {
	// Name identifies the source to operators and over configurations, such as
	// "a runtime.default.svc:9000". It has no secrets.
	Name string
	// Scheme is that of all backends: http, https or h2c.
	Scheme string
	// Interval is the time between two look-ups, DefaultInterval if it is 0.
	Interval time.Duration
	// Memory has what the last look-ups found, for parts that cannot be looked up. nil
	// for a source that remembers nothing. A source of the same name and scheme that
	// takes the place of another adopts its memory.
	Memory *Memory
	// Lookup returns the backends as they are now, in any order. While it returns
	// none, the last list stays in use. An error beside backends says what is not
	// as it is now: addresses that could not be looked up and stay as they were, or
	// backends that are left out. It is called by one goroutine at a time and ends
	// with ctx.
	Lookup func(ctx context.Context) ([]Endpoint, error)
}

// atMost returns the first endpoints, MaxEndpoints of them, and an error if there are
// more.
func atMost(name string, endpoints []Endpoint) ([]Endpoint, error) {
	if len(endpoints) <= MaxEndpoints {
		return endpoints, nil
	}
	return endpoints[:MaxEndpoints], fmt.Errorf("%s: of %d addresses the first %d are used", strings.TrimSuffix(name, "."), len(endpoints), MaxEndpoints)
}

// Endpoint is one backend as a source knows it.
type Endpoint struct {
	// Address is IP:PORT with IPv6 addresses in brackets, or the absolute path of a
	// unix socket.
	Address string
	// Host is the name that the backend's certificate must be for, with the port.
	// The address if it is empty.
	Host string
	// Priority orders the endpoints of a source: only those of the lowest priority
	// of which one is healthy are used (RFC 2782).
	Priority uint16
	// Weight is the endpoint's part of the calls, relative to those of the same
	// source and priority. Among others with a weight, 0 is a very small part.
	Weight uint16
}

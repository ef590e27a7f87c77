package discovery_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/edgegate/edgegate/regions/discovery"
	"github.com/edgegate/edgegate/regions/discovery/dnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// name is absolute: the search domains of the machine have no part in the tests.
const name = "runtime.example.test."

// asking returns a resolver that asks the server.
func asking(s *dnstest.Server) *discovery.Resolver {
	return discovery.NewResolver([]string{s.Address}, 0, 0)
}

// runtimes is a source of the addresses of name.
func runtimes(s *dnstest.Server) discovery.Source {
	return discovery.HostSource(discovery.Host{Name: name, Port: 9000, Resolver: asking(s)})
}

// patience is how long a look-up may take on a busy machine.
const patience = time.Minute

// lookup returns the endpoints of a source, whose look-up must succeed.
func lookup(t *testing.T, source discovery.Source) []discovery.Endpoint {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	endpoints, err := source.Lookup(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return endpoints
}

// failure returns the error of a look-up, which must fail.
func failure(t *testing.T, source discovery.Source) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	endpoints, err := source.Lookup(ctx)
	if err == nil {
		t.Fatalf("no error, but %v", endpoints)
	}
	return err
}

// part returns the endpoints of a look-up that finds a part only, and what it says of the
// others.
func part(t *testing.T, source discovery.Source) ([]discovery.Endpoint, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	endpoints, err := source.Lookup(ctx)
	if len(endpoints) == 0 || err == nil {
		t.Fatalf("%v and the error %v, want some and an error", endpoints, err)
	}
	return endpoints, err
}

// expect fails the test if the addresses are not those wanted, in this order.
func expect(t *testing.T, endpoints []discovery.Endpoint, want ...string) {
	t.Helper()
	var got []string
	for _, e := range endpoints {
		got = append(got, e.Address)
	}
	if !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
}

// expectError fails the test if the error has not all of the texts, or one that only
// programmers read.
func expectError(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q lacks %q", err, text)
		}
	}
	for _, text := range []string{"lookup ", "no such host", "misbehaving", "i/o timeout", "context deadline"} {
		if strings.Contains(err.Error(), text) {
			t.Errorf("%q has %q", err, text)
		}
	}
}

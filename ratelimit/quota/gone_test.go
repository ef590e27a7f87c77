package quota

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The log of a gateway is lost, and quotas.db is not: what it was granted is listed until an operator releases it. Then all that is
// left by the counts of the ledger can be used.
func TestUnitsOfALogThatIsGone(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	gone := openGateway(t, dir, c, hard(1000))
	gone.served(30)
	id := gone.ledger.Instance()
	if held, err := gone.HeldByGone(t.Context()); held != nil || err != nil {
		t.Errorf("it is there: %v, %v", held, err)
	}
	gone.stop() // killed
	gone.stopped.Wait()
	if err := gone.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"inst", "logs"} { // as `usage recover` leaves it
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	g := openGateway(t, dir, c, hard(1000))
	defer g.close()
	first := g.used(2000)
	units, err := g.HeldByGone(t.Context())
	if err != nil || len(units) != 1 || units[0].Gateway != id || units[0].Organization != "acme" || units[0].Period != november.ID ||
		units[0].Units < 30 || units[0].Units != int64(1000-first) || !units[0].Gone {
		t.Fatalf("%d were used, and held are %+v, %v", first, units, err)
	}
	for gateway, want := range map[string]string{
		"another":           "has units in quotas.db",
		g.ledger.Instance(): ErrNotShared.Error(),
	} {
		if released, err := g.ReleaseGone(t.Context(), gateway); released != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", gateway, released, err)
		}
	}
	released, err := g.ReleaseGone(t.Context(), id)
	if err != nil || len(released) != 1 || released[0] != units[0] {
		t.Errorf("released %+v, %v, want %+v", released, err, units)
	}
	if held, err := g.HeldByGone(t.Context()); err != nil || held != nil {
		t.Errorf("%+v are held still, %v", held, err)
	}
	c.advance(maxRetryDelay)
	g.served(1000 - first)
	if n := g.used(10); n != 0 {
		t.Errorf("%d more were used than the limit", n)
	}
}

// A gateway whose log is there, and which no process runs, gives back what it held when its log is taken over: nothing is released.
func TestUnitsOfALogThatIsThere(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	first, second := openGateway(t, dir, c, hard(1000)), openGateway(t, dir, c, hard(1000))
	defer first.close()
	second.served(5)
	defer second.close()
	if held, err := first.HeldByGone(t.Context()); err != nil || held != nil {
		t.Errorf("%+v, %v", held, err)
	}
	if _, err := first.ReleaseGone(t.Context(), second.ledger.Instance()); !errors.Is(err, ErrNotShared) {
		t.Error(err)
	}
}

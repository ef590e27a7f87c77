package billing

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// zoneFixture is a ledger directory with one unit of each of two organizations, one of which has a time zone.
type zoneFixture struct {
	dir  string
	now  time.Time
	zone *time.Location
}

// count adds a unit to both.
func (f *zoneFixture) count(t *testing.T, ledger *metering.Ledger) {
	t.Helper()
	region, err := ledger.Region("eu")
	if err != nil {
		t.Fatal(err)
	}
	for organization, cycle := range map[string]metering.Cycle{"acme": {}, "berlin": {Zone: f.zone}} {
		subject, err := ledger.Subject(metering.Subject{Organization: organization, Project: "p", Function: "f", Cycle: cycle})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Admit(metering.Invocation{Subject: subject, Region: region, At: f.now}); err != nil {
			t.Fatal(err)
		}
	}
}

// with opens the ledger for a while.
func (f *zoneFixture) with(t *testing.T, use func(*metering.Ledger)) {
	t.Helper()
	ledger, err := metering.Open(metering.Config{Dir: f.dir})
	if err != nil {
		t.Fatalf("the ledger cannot be opened: %v", err)
	}
	use(ledger)
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
}

// rename gives a zone of the ledger another name.
func (f *zoneFixture) rename(t *testing.T, from, to string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(f.dir, "inst", "*", "dict.seg"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%d dictionaries, %v", len(paths), err)
	}
	old, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	var renamed bytes.Buffer
	for line := range bytes.Lines(old) {
		_, text, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		text = bytes.ReplaceAll(text, []byte(from), []byte(to))
		fmt.Fprintf(&renamed, "%08x %s\n", crc32.Checksum(text, crc32.MakeTable(crc32.Castagnoli)), text)
	}
	if bytes.Equal(old, renamed.Bytes()) {
		t.Fatalf("the dictionary has no %s", from)
	}
	if err := os.WriteFile(paths[0], renamed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// billed returns how many units of whom are billed, and what is shown of all.
func (f *zoneFixture) billed(t *testing.T, ledger *metering.Ledger) (billed, shown map[string]int64) {
	t.Helper()
	all, err := ledger.Usage()
	if err != nil {
		t.Fatal(err)
	}
	billed, shown = make(map[string]int64), make(map[string]int64)
	used := make(Totals)
	for _, s := range hourlySums(all, f.now.Add(-24*time.Hour), used) {
		billed[s.Organization] += s.Sources[0].Invocations
	}
	for of, n := range used {
		if billed[of.Organization] != n {
			t.Errorf("%s used %d, billed are %d", of.Organization, n, billed[of.Organization])
		}
	}
	for _, u := range all {
		if u.Span == metering.Monthly {
			shown[u.Organization] += int64(u.Invocations)
		}
	}
	return billed, shown
}

// A time zone that this machine does not know must not lock a ledger. What was counted by it is kept and shown; it is not
// billed, since its hours may be in another period than they seem; and it is billed once when the zone is known again.
func TestLedgerWithAnUnknownZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	f := &zoneFixture{dir: t.TempDir(), now: time.Now(), zone: berlin}
	check := func(ledger *metering.Ledger, wantBilled, wantShown map[string]int64) {
		t.Helper()
		if billed, shown := f.billed(t, ledger); !maps.Equal(billed, wantBilled) || !maps.Equal(shown, wantShown) {
			t.Errorf("billed %v, want %v; shown %v, want %v", billed, wantBilled, shown, wantShown)
		}
	}
	f.with(t, func(ledger *metering.Ledger) {
		f.count(t, ledger)
		both := map[string]int64{"acme": 1, "berlin": 1}
		check(ledger, both, both)
		if zones := ledger.UnknownZones(); len(zones) > 0 {
			t.Errorf("unknown are %v", zones)
		}
	})
	f.rename(t, "Europe/Berlin", "Europe/Atlantis")
	f.with(t, func(ledger *metering.Ledger) {
		check(ledger, map[string]int64{"acme": 1}, map[string]int64{"acme": 1, "berlin": 1})
		f.count(t, ledger) // the organization has a known zone now
		check(ledger, map[string]int64{"acme": 2, "berlin": 1}, map[string]int64{"acme": 2, "berlin": 2})
		zones := ledger.UnknownZones()
		if len(zones) != 1 || zones[0].Zone != "Europe/Atlantis" || !slices.Equal(zones[0].Organizations, []string{"berlin"}) {
			t.Errorf("unknown are %v", zones)
		}
	})
	// Opened once more, it is as before: the name stays with the numbers.
	f.with(t, func(ledger *metering.Ledger) {
		check(ledger, map[string]int64{"acme": 2, "berlin": 1}, map[string]int64{"acme": 2, "berlin": 2})
	})
	f.rename(t, "Europe/Atlantis", "Europe/Berlin")
	f.with(t, func(ledger *metering.Ledger) {
		both := map[string]int64{"acme": 2, "berlin": 2}
		check(ledger, both, both)
	})
}

// Of an unknown zone no month may be taken for that of UTC: it would be billed again under another name.
func TestPeriodsOfUnknownZonesKeepTheirNames(t *testing.T) {
	f := &zoneFixture{dir: t.TempDir(), now: time.Now(), zone: time.FixedZone("Nowhere/Atlantis", 3600)}
	f.with(t, func(ledger *metering.Ledger) { f.count(t, ledger) })
	f.with(t, func(ledger *metering.Ledger) {
		all, err := ledger.Usage()
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if id := u.Cycle.At(u.Start).ID; u.Organization == "berlin" && !strings.HasSuffix(id, "01+Nowhere/Atlantis") {
				t.Errorf("the period is called %s", id)
			}
		}
	})
}

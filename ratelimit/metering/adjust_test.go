package metering

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering/bbolt"
)

func adjust(t *testing.T, l *Ledger, units int64, at time.Time) Adjustment {
	t.Helper()
	a, err := l.Adjust(Adjustment{
		Subject: Subject{Organization: "acme", Project: "p", Function: "f"}, Region: "eu", At: at, Units: units, Reason: "a test ran amok\n", Operator: "ada",
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What people adjust is billed, is no use of a quota, moves no clock, and is there with its reason however the ledger is read again.
func TestLedgerAdjusts(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	hour := l.Now().Truncate(time.Hour).Add(-100 * time.Hour)
	admit(t, l, s, r, hour)
	admit(t, l, s, r, hour)
	first, second := adjust(t, l, -1, hour.Add(time.Minute)), adjust(t, l, 5, hour.Add(time.Minute))
	check := func(name string, l *Ledger) {
		t.Helper()
		usage, err := l.Usage()
		if err != nil || len(usage) != 2 {
			t.Fatalf("%s: %+v, %v", name, usage, err)
		}
		for _, u := range usage {
			if u.Invocations != 2 || u.Added != 5 || u.Deducted != 1 || u.Adjusted() != 4 || u.Billed() != 6 || u.First != 1 {
				t.Errorf("%s: %+v", name, u)
			}
		}
		if by, err := l.SpentBy("acme", (Cycle{}).At(hour)); err != nil || by[l.Instance()] != 2 {
			t.Errorf("%s: %v are used of the quota, %v", name, by, err)
		}
		if now := time.Now(); l.Now().Sub(now).Abs() > time.Minute {
			t.Errorf("%s: it is %s", name, l.Now())
		}
		got, err := l.Adjustments()
		if err != nil || !slices.Equal(got, []Adjustment{first, second}) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, []Adjustment{first, second})
		}
		again, err := l.Recount(nil)
		if err != nil || len(again) != 1 || again[0].Damage != nil || len(again[0].Read) != 2 || again[0].Read[0].Billed() != 6 {
			t.Errorf("%s: %+v, %v", name, again, err)
		}
	}
	check("at once", l)
	closeLedger(t, l)
	l = openLedger(t, dir)
	check("after a restart", l)
	closeLedger(t, l)
	if err := os.Remove(filepath.Join(dir, "inst", l.Instance(), "checkpoint.db")); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	check("without its sums", l)
	closeLedger(t, l)
}

func TestLedgerRefusesAdjustments(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	for want, a := range map[string]Adjustment{
		"changes nothing":       {At: now},
		"at most 4294967295":    {At: now, Units: math.MaxUint32 + 1},
		"units: make several":   {At: now, Units: -math.MaxUint32 - 1},
		"2200-01-01T00:00:00Z ": {At: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), Units: 1},
	} {
		if _, err := l.Adjust(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
	if all, err := l.Adjustments(); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// Checkpoints of before there were adjustments have shorter sums.
func TestCheckpointReadsOldSums(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	admit(t, l, s, r, now)
	closeLedger(t, l)
	db, err := bbolt.Open(filepath.Join(dir, "inst", l.Instance(), "checkpoint.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(bucketSums)
		old := make(map[string][]byte)
		err := bucket.ForEach(func(k, v []byte) error {
			old[string(k)] = slices.Clone(v[:32])
			return nil
		})
		for k, v := range old {
			if err == nil {
				err = bucket.Put([]byte(k), v)
			}
		}
		if err == nil {
			err = tx.DeleteBucket(bucketAdjusted)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLedger(t, dir)
	defer closeLedger(t, l)
	if sums := monthly(t, l, "acme"); sums.Invocations != 1 {
		t.Errorf("%+v", sums)
	}
	adjust(t, l, -1, now)
	if all, err := l.Adjustments(); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

// An adjustment's record is the same after it was archived.
func TestPackKeepsAdjustments(t *testing.T) {
	records := day(20)
	for i, r := range []Record{
		{Type: TypeVoid, Region: 1, At: now.Add(-1000 * time.Hour), Subject: 3, Units: math.MaxUint32, Flags: FlagMinus, Note: 1},
		{Type: TypeVoid, Region: 2, At: now, Subject: 4, Units: 1, Note: 2},
	} {
		r.Seq = uint64(len(records) + 1)
		records = append(records, r)
		if !records[len(records)-1].adjusts() || r.adjusted() != []int64{-math.MaxUint32, 1}[i] {
			t.Errorf("%+v is by %d", r, r.adjusted())
		}
	}
	again, err := unpack(pack(records), 1, uint64(len(records)))
	if err != nil || !slices.Equal(again, records) {
		t.Errorf("%+v, %v", again, err)
	}
}

// Sums of old hours leave Redis, but for what was adjusted: other gateways could not know of it.
func TestOldSums(t *testing.T) {
	l := openLedger(t, t.TempDir())
	defer closeLedger(t, l)
	s, r := numbers(t, l, "acme", "eu")
	old := l.Now().Add(-hoursKept - 2*time.Hour).Truncate(time.Hour)
	admit(t, l, s, r, old)
	key := sumKey{s, r, Hourly, old.Unix()}
	if _, err := l.Usage(); err != nil || !l.own.old(key, time.Now()) {
		t.Errorf("it is kept, %v", err)
	}
	adjust(t, l, 7, old)
	if _, err := l.Usage(); err != nil || l.own.old(key, time.Now()) {
		t.Errorf("it is not kept, %v", err)
	}
	fields := make(map[string]any)
	for f := range slices.Chunk(l.own.fields(key, FormPeriod, ""), 2) {
		name, _ := f[0].(string)
		fields[name[strings.LastIndex(name, "|")+1:]] = f[1]
	}
	if fields["added"] != uint64(7) || fields["invocations"] != uint64(1) || fields["deducted"] != nil {
		t.Errorf("%v", fields)
	}
	entries, err := entriesOf("one", "", map[string]string{"h|2026110100|acme|p|f|eu|added": "7", "h|2026110100|acme|p|f|eu|deducted": "3", "_h": "5"})
	if err != nil || len(entries) != 1 || entries[0].Adjusted() != 4 || entries[0].Billed() != 4 {
		t.Errorf("%+v, %v", entries, err)
	}
}

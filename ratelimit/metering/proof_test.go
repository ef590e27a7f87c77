package metering

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The records behind a line, in archives and segments, with a hash that anybody can make of the files.
func TestProve(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t, dir)
	s, r := numbers(t, l, "acme", "eu")
	other, us := numbers(t, l, "other", "us")
	hour := l.Now().Truncate(time.Hour).Add(-2 * time.Hour)
	want := sha256.New()
	const n = firstSegment // so that the first records are archived, and the last are not
	for i := range uint64(n + 10) {
		seq := admit(t, l, s, r, hour.Add(time.Minute))
		record := Record{Type: TypeAdmitted, Region: r, At: hour.Add(time.Minute), Subject: uint32(s), Units: 1, Seq: seq}
		_, _ = want.Write(record.bytes())
		if i == 0 {
			admit(t, l, other, r, hour) // of others, of another region, of other hours
			admit(t, l, s, us, hour)
			admit(t, l, s, r, hour.Add(-1))
			admit(t, l, s, r, hour.Add(time.Hour))
		}
	}
	void := admit(t, l, s, r, hour)
	if err := l.Void(void, Invocation{Subject: s, Region: r, At: hour}); err != nil {
		t.Fatal(err)
	}
	closeLedger(t, l)
	l = openLedger(t, dir)
	defer closeLedger(t, l)
	if err := l.own.archive(l.own.saved); err != nil {
		t.Fatal(err)
	}
	for _, record := range []Record{{Type: TypeAdmitted, Seq: void}, {Type: TypeVoid, Seq: void + 1, Ref: void}} {
		record.Region, record.At, record.Subject, record.Units = r, hour, uint32(s), 1
		_, _ = want.Write(record.bytes())
	}
	adjusted := adjust(t, l, -7, hour.Add(30*time.Minute))
	record := Record{Type: TypeVoid, Flags: FlagMinus, Region: r, At: adjusted.At, Subject: uint32(s), Units: 7, Note: 1, Seq: adjusted.Seq}
	_, _ = want.Write(record.bytes())
	since, err := l.Last()
	if err != nil || since[l.Instance()] != adjusted.Seq {
		t.Fatalf("%v, %v", since, err)
	}
	admit(t, l, s, r, hour) // while the line was made
	of := Part{Organization: "acme", Project: "p", Function: "f", Region: "eu", Period: (Cycle{}).At(hour).ID, Start: hour, Origin: l.Origin()}
	has := Sums{Invocations: n + 10, Voided: 1, Deducted: 7}
	prove := func() Proof {
		t.Helper()
		proofs, err := l.Prove(of, since, map[string]Sums{l.Instance(): has})
		if err != nil || len(proofs) != 1 {
			t.Fatalf("%+v, %v", proofs, err)
		}
		return proofs[0]
	}
	p := prove()
	if p.Damage != nil || !p.Same(has) || p.First != 1 || p.Last != adjusted.Seq || p.Admitted != n+11 || p.Voided != 1 || p.Ended != 0 ||
		len(p.Adjustments) != 1 || p.Adjustments[0] != adjusted || p.Read != adjusted.Seq+1 {
		t.Errorf("%+v", p)
	}
	if p.SHA256 != hex.EncodeToString(want.Sum(nil)) {
		t.Errorf("the hash is %s", p.SHA256)
	}
	if len(p.Files) != 2 || !strings.HasPrefix(p.Files[0].Name, "archive/") || p.Files[0].SHA256 == "" || !strings.HasPrefix(p.Files[1].Name, "wal/") ||
		p.Files[0].Records+p.Files[1].Records != n+13 {
		t.Errorf("%+v", p.Files)
	}
	// What the line lacks of what was there before is a difference, and what came after is none.
	has.Invocations--
	if p := prove(); p.Same(has) || p.Invocations != n+11 {
		t.Errorf("%+v", p)
	}
	archives, err := filepath.Glob(filepath.Join(dir, "inst", l.Instance(), "archive", "*"+archiveSuffix))
	if err != nil || len(archives) != 1 {
		t.Fatalf("%q, %v", archives, err)
	}
	data, err := os.ReadFile(archives[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(archives[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if p := prove(); p.Damage == nil || !strings.Contains(p.Damage.Error(), "its hash is not that of the manifest") {
		t.Errorf("%+v", p)
	}
}

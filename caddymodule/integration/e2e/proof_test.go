//go:build e2e

package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// A line is traced to its records, and records that do not make it up are noticed.
func TestProof(t *testing.T) {
	store := t.TempDir()
	usedBefore(t, store, 3*time.Hour, 25)
	hour := time.Now().Add(-3 * time.Hour).UTC()
	w := startWitness(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore embedded " + store, project: "\t\t\torganization acme",
	}
	g := startGateway(t, c)
	waitUntil(t, "the line is there", func() bool {
		_, ok := lineOf(t, g, hour)
		return ok
	})
	g.command(t, "usage", "adjust", "acme", "-5", "--project", "default", "--function", "ok", "--region", "eu-central-1", "--reason", "an outage",
		"--operator", "ada", "--at", hour.Format(time.RFC3339))
	l, _ := lineOf(t, g, hour)
	out := g.command(t, "usage", "proof", l.LineID)
	for _, want := range []string{"SHA-256   " + l.SHA256 + ", intact", "  20        20            1      ", "  yes\n", "-5 by ada on ", ": an outage\n", "follow each other", "wal/0000"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	// The hour that is now, while it is counted.
	res, err := http.Get(g.url + "/functions/v1/ok")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	now, ok := lineOf(t, g, time.Now().UTC())
	if !ok {
		t.Fatal("there is no line of the hour that is now")
	}
	g.command(t, "usage", "proof", now.LineID)
	if code, said := g.fails(t, "usage", "proof", strings.Repeat("0", 32)); code != 1 || !strings.Contains(said, "this gateway has no such line") {
		t.Errorf("%d, %s", code, said)
	}
	if code, said := g.fails(t, "usage", "proof", "17"); code != 1 || !strings.Contains(said, "32 hex digits") {
		t.Errorf("%d, %s", code, said)
	}
	// A bit of a record is wrong.
	segments, err := filepath.Glob(filepath.Join(store, "inst", "*", "wal", "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%q, %v", segments, err)
	}
	file, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	const header, at = 1 << 10, 7*metering.RecordSize + 30
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, header+at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := file.WriteAt(b, header+at); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if code, said := g.fails(t, "usage", "proof", l.LineID); code != 1 || !strings.Contains(said, "DAMAGED: segment") || !strings.Contains(said, "  NO\n") {
		t.Errorf("%d, %s", code, said)
	}
}

// Each gateway proves what it counted, and says of the rest where it is.
func TestProofOfGatewaysThatShareAStore(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore redis " + redis.URL(), project: "\t\t\torganization acme",
	}
	all := []*gateway{startGateway(t, c), startGateway(t, c)}
	for _, g := range all {
		for range 3 {
			res, err := http.Get(g.url + "/functions/v1/ok")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		}
	}
	for _, g := range all {
		var lines []usage.Line // two, if an hour ends meanwhile
		waitUntil(t, "both are billed", func() bool {
			lines = exported(t, g, time.Now().UTC().Format("2006-01"))
			quantity := int64(0)
			for _, l := range lines {
				quantity += l.Quantity
			}
			return quantity == 6
		})
		for _, l := range lines {
			out := g.command(t, "usage", "proof", l.LineID)
			if strings.Count(out, "  yes\n")+strings.Count(out, "  not here\n") != len(strings.Fields(l.SourceInstances)) {
				t.Error(out)
			}
			if len(lines) == 1 && !strings.Contains(out, "ask it with --address; Redis has 3\n") {
				t.Error(out)
			}
		}
	}
}

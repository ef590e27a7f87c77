//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// callOK makes n calls that succeed.
func callOK(t *testing.T, g *gateway, n int) {
	t.Helper()
	for range n {
		res, err := http.Get(g.url + "/functions/v1/ok")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("it is answered %d", res.StatusCode)
		}
	}
}

// billed returns what the only organization is billed for.
func billed(t *testing.T, g *gateway) (invocations int64) {
	t.Helper()
	var bill struct {
		Organizations []struct{ Invocations int64 }
	}
	text := g.command(t, "usage", "bill", "-o", "json")
	if err := json.Unmarshal([]byte(text), &bill); err != nil || len(bill.Organizations) > 1 {
		t.Fatalf("%s, %v", text, err)
	}
	for _, o := range bill.Organizations {
		invocations += o.Invocations
	}
	return invocations
}

// Numbers in Redis that are not what a gateway's own log says are put right by that gateway, which compares a sixteenth of them every
// five seconds, and all bill what was called.
func TestWrongNumbersInRedis(t *testing.T) {
	w, redis := startWitness(t), redistest.Single(t)
	c := config{
		backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
		options: "\t\tstore redis " + redis.URL(), project: "\t\t\torganization acme",
	}
	all := []*gateway{startGateway(t, c), startGateway(t, c)}
	const each = 5
	for _, g := range all {
		callOK(t, g, each)
	}
	made := each * int64(len(all))
	for _, g := range all {
		waitUntil(t, "all is billed", func() bool { return billed(t, g) == made })
	}
	// The sums of one gateway are too high, those of the other too low.
	type place struct{ key, field any }
	var places []place
	for i, key := range redis.Exec("KEYS", "gw:{q:*}:c:*").([]any) {
		for _, field := range redis.Exec("HKEYS", key).([]any) {
			if strings.HasSuffix(fmt.Sprint(field), "|invocations") {
				places = append(places, place{key, field})
				redis.Exec("HSET", key, field, []string{"1005", "3"}[i%2])
			}
		}
	}
	if len(places) != 4 { // an hour and a period of each gateway
		t.Fatalf("%v", places)
	}
	deadline := time.NewTimer(3 * time.Minute)
	defer deadline.Stop()
	for tick := time.Tick(time.Second); slices.ContainsFunc(places, func(p place) bool {
		return fmt.Sprint(redis.Exec("HGET", p.key, p.field)) != strconv.Itoa(each)
	}); {
		select {
		case <-deadline.C:
			t.Fatal("wrong numbers stay in Redis")
		case <-tick:
		}
	}
	for _, g := range all {
		waitUntil(t, "all is billed, and no more", func() bool { return billed(t, g) == made })
		for _, args := range [][]string{{"usage", "reconcile", "--deep"}, {"usage", "verify"}} {
			if _, err := g.try(t, args...); err != nil {
				t.Error(err)
			}
		}
	}
}

// damage is what happens to a file of a directory while no gateway runs on it.
type damage struct {
	file string // a pattern within the directory
	do   func(t *testing.T, file string)
}

func flip(at int64) func(t *testing.T, file string) {
	return func(t *testing.T, file string) {
		t.Helper()
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		content[(at+int64(len(content)))%int64(len(content))] ^= 1
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func cut(to int64) func(t *testing.T, file string) {
	return func(t *testing.T, file string) {
		t.Helper()
		if err := os.Truncate(file, to); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// Files of the directory are damaged while the gateway is off. Either it starts and bills what was called, or it refuses, `usage verify`
// names the file and `usage recover` mends it: after that it bills what was called, or recover says what is lost.
func TestDamageIsMendedByCommands(t *testing.T) {
	const calls = 20
	w := startWitness(t)
	original := t.TempDir()
	with := func(dir string) config {
		return config{
			backends: []backend{{region: "eu-central-1", address: w.address()}}, functions: public("ok"),
			options: "\t\tstore embedded " + dir, project: "\t\t\torganization acme\n\t\t\tquota 100",
		}
	}
	g := startGateway(t, with(original))
	callOK(t, g, calls)
	if n := billed(t, g); n != calls {
		t.Fatalf("%d are billed", n)
	}
	g.stop(syscall.SIGTERM, 10*time.Second)
	for name, d := range map[string]damage{
		"a name is cut":                {"inst/*/dict.seg", cut(100)},
		"a name is flipped":            {"inst/*/dict.seg", flip(80)},
		"the names are gone":           {"inst/*/dict.seg", remove},
		"a sum is flipped":             {"inst/*/checkpoint.db", flip(-4096 + 40)},
		"the sums are cut":             {"inst/*/checkpoint.db", cut(5000)},
		"the sums are gone":            {"inst/*/checkpoint.db", remove},
		"the head of a segment":        {"inst/*/wal/*.seg", flip(9)},
		"a record is flipped":          {"inst/*/wal/*.seg", flip(4096 + 64*5 + 3)},
		"the records are gone":         {"inst/*/wal/*.seg", remove},
		"the ledger's id is flipped":   {"ledger.id", flip(3)},
		"the ledger's id is gone":      {"ledger.id", remove},
		"the bills are cut":            {"billing.db", cut(4096)},
		"the bills are gone":           {"billing.db", remove},
		"the quotas are flipped":       {"quotas.db", flip(100)},
		"the quotas are gone":          {"quotas.db", remove},
		"what services were told, cut": {"told.db", cut(100)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ledger")
			if err := os.CopyFS(dir, os.DirFS(original)); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, d.file))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v %v", files, err)
			}
			d.do(t, files[0])
			found, refused := edgegate(t, "usage", "verify", dir)
			said, recovered := edgegate(t, "usage", "recover", dir)
			if recovered != nil {
				t.Fatal(recovered)
			}
			if again, err := edgegate(t, "usage", "verify", dir); err != nil {
				t.Errorf("after recover: %v %s", err, again)
			}
			g := startGateway(t, with(dir))
			n := billed(t, g)
			if n != calls && (refused == nil || !strings.Contains(said, "lost")) {
				t.Errorf("%d are billed, want %d\nverify: %v %s\nrecover: %s", n, calls, refused, found, said)
			}
			callOK(t, g, 3)
			if after := billed(t, g); after != n+3 {
				t.Errorf("%d are billed after 3 calls more than %d", after, n)
			}
		})
	}
}

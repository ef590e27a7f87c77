//go:build e2e && soak

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

var writeOldData = flag.Bool("write-old-data", false, "TestSoakOldData writes "+oldArchive+" anew")

// Three gateways of the old build tell services what hours that are over used, serve more, and are killed; what they leave is
// read as TestOldData reads it.
func TestSoakOldData(t *testing.T) {
	redis := redistest.Single(t)
	u := startUpgrade(t, 3, 4000, oldOptions, func(dir string) string { return "redis " + redis.URL() + " " + dir })
	u.redis = redis
	u.pastIsTold(t)
	u.callUnderKills(t, 1, 10)
	dir := t.TempDir()
	old := oldData{
		Redis: make(map[string]map[string]string), Plain: make(map[string]string), Told: u.past, Month: u.began.UTC().Format("2006-01"), Limit: u.limit, Cycle: u.cycle,
	}
	if len(u.months()) > 1 {
		t.Fatal("the hours of this test are in two months: run it later")
	}
	for i, g := range u.gateways {
		waitLong(t, "it bills what all have called", func() bool {
			old.Lines = nil
			sum := -u.past
			for _, l := range u.export(t, g, u.old.gateway) {
				if l.AccountID == "acme" {
					old.Lines = append(old.Lines, l)
					sum += l.Quantity
				}
			}
			least, most := u.between("ok")
			return sum >= least && sum <= most
		})
		g.stop(syscall.SIGKILL, time.Second)
		if err := os.CopyFS(filepath.Join(dir, fmt.Sprintf("ledger%d", i)), os.DirFS(g.ledger)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range old.Lines {
		if l.Schema != usage.SchemaV1 {
			t.Errorf("the old build has the line %+v", l)
		}
	}
	keys, _ := redis.Exec("KEYS", "*").([]any)
	for _, key := range keys {
		name := fmt.Sprint(key)
		switch kind := redis.Exec("TYPE", name); kind {
		case "hash":
			fields := make(map[string]string)
			all, _ := redis.Exec("HGETALL", name).([]any)
			for i := 0; i+1 < len(all); i += 2 {
				fields[fmt.Sprint(all[i])] = fmt.Sprint(all[i+1])
			}
			old.Redis[name] = fields
		case "string":
			old.Plain[name] = fmt.Sprint(redis.Exec("GET", name))
		default:
			t.Errorf("%s is a %v", name, kind)
		}
	}
	text, err := json.MarshalIndent(old, "", "\t")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "olddata.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "\\ufffd") {
		t.Error("a value in Redis is no text")
	}
	if *writeOldData {
		out, err := exec.CommandContext(t.Context(), "tar", "-czf", oldArchive, "-C", dir, ".").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	oldDataIsRead(t, dir)
}

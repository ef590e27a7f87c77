package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
)

// damagedLedger returns the directory of a ledger, and of its log, with a flipped byte in its names.
func damagedLedger(t *testing.T) (dir, names string) {
	t.Helper()
	dir = t.TempDir()
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	subject, err := ledger.Subject(metering.Subject{Organization: "acme", Project: "shop", Function: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Admit(metering.Invocation{Subject: subject, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	names = filepath.Join(dir, "inst", ledger.Instance(), "dict.seg")
	for _, command := range []string{"verify", "recover"} { // in use
		if _, stderr, code := execute(t, "usage", command, dir); code != 1 || !strings.Contains(stderr, "a gateway uses this directory") {
			t.Errorf("%s: %d, %s", command, code, stderr)
		}
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(names)
	if err != nil {
		t.Fatal(err)
	}
	text[12] ^= 1
	if err := os.WriteFile(names, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, names
}

// verify finds damage at rest and changes nothing; recover mends it and keeps the file, and has nothing to do the second time.
func TestUsageVerifyAndRecover(t *testing.T) {
	dir, names := damagedLedger(t)
	for range 2 {
		stdout, stderr, code := execute(t, "usage", "verify", dir)
		if code != 1 || stderr != "" || !strings.HasPrefix(stdout, names+": byte 0: this line is not what was written") {
			t.Fatalf("%d, standard error %q, standard output %q", code, stderr, stdout)
		}
	}
	stdout, _, code := execute(t, "usage", "verify", dir, "-o", "json")
	var answer billing.VerifyAnswer
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != 1 || answer.OK || len(answer.Findings) != 1 || answer.Findings[0].File != names {
		t.Errorf("%d, %s", code, stdout)
	}
	stdout, stderr, code := execute(t, "usage", "recover", dir)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "kept: "+names+".damaged-") || strings.Contains(stdout, "lost:") {
		t.Errorf("%d, standard error %q, standard output %q", code, stderr, stdout)
	}
	for _, command := range []string{"recover", "verify"} {
		if stdout, _, code := execute(t, "usage", command, dir); code != 0 || stdout != "Nothing is damaged.\n" {
			t.Errorf("%s: %d, %q", command, code, stdout)
		}
	}
	ledger, err := metering.Open(metering.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	usage, err := ledger.Usage()
	if err != nil || len(usage) != 2 || usage[0].Organization != "acme" || usage[0].Invocations != 1 {
		t.Errorf("%+v, %v", usage, err)
	}
	if err := ledger.Close(); err != nil {
		t.Error(err)
	}
}

// A gateway is asked for its own ledger.
func TestUsageVerifyOfAGateway(t *testing.T) {
	for answer, want := range map[string]struct {
		stdout string
		code   int
	}{
		`{"findings":[],"records":17,"ok":true}`: {"Nothing is damaged.\n", 0},
		`{"findings":[{"file":"/l/dict.seg","offset":7,"what":"bad\u001b","remedy":"mend it","lost":"a name"}],"records":17,"ok":false}`: {
			"/l/dict.seg: byte 7: bad\\x1b; mend it\n  lost: a name\n", 1,
		},
		`{"ok":true}`: {"", 1},
	} {
		g := serve(t, 200, answer)
		stdout, _, code := execute(t, "usage", "verify", "--address", g.address())
		if stdout != want.stdout || code != want.code {
			t.Errorf("%s: %d, %q", answer, code, stdout)
		}
		if got := g.questions()[0]; got != "GET /edge_functions/usage/verify" {
			t.Errorf("asked %s", got)
		}
	}
	for _, args := range [][]string{{"verify", "-o", "xml"}, {"recover", "-o", "xml", "."}, {"recover"}, {"verify", "a", "b"}} {
		if _, _, code := execute(t, append([]string{"usage"}, args...)...); code != 2 {
			t.Errorf("%q: %d, want 2", args, code)
		}
	}
	if _, stderr, code := execute(t, "usage", "recover", filepath.Join(t.TempDir(), "none")); code != 1 || !strings.Contains(stderr, "that of the option store") {
		t.Errorf("%d, %s", code, stderr)
	}
}

// A directory without a ledger is an error that names the right one, above or below it, also where nothing is damaged.
func TestUsageVerifyWrongDirectory(t *testing.T) {
	dir, names := damagedLedger(t)
	above := filepath.Dir(dir)
	if err := os.WriteFile(filepath.Join(above, "Caddyfile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for wrong, hint := range map[string]string{
		filepath.Dir(names):               "name the directory of the ledger: " + dir + `"}`,
		filepath.Dir(filepath.Dir(names)): "name the directory of the ledger: " + dir + `"}`,
		names:                             "name the directory of the ledger: " + dir + `"}`,
		above:                             "name the directory of the ledger: " + dir + `"}`,
		t.TempDir():                       storeHint,
		filepath.Join(dir, "none"):        storeHint,
	} {
		for _, command := range []string{"verify", "recover"} {
			stdout, stderr, code := execute(t, "usage", command, wrong)
			if code != 1 || stdout != "" || !strings.Contains(stderr, hint) || strings.Count(stderr, wrong+": ") != 1 {
				t.Errorf("%s %s: %d, %q, %q", command, wrong, code, stdout, stderr)
			}
		}
	}
}

// What only a person can restore is an error each time, with the one remedy there is.
func TestUsageRecoverCannotMend(t *testing.T) {
	dir, _ := damagedLedger(t)
	for _, name := range []string{"ledger.id", "ledger.id.copy"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("zz"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := metering.Open(metering.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "HGET gw:meta ledger") || strings.Contains(err.Error(), "usage recover") {
		t.Errorf("the start says %v", err)
	}
	for i := range 2 {
		stdout, stderr, code := execute(t, "usage", "recover", dir)
		mended := strings.Contains(stdout, "dict.seg: byte 0: ") && strings.Contains(stdout, "; it is mended\n")
		if code != 1 || stderr != "" || !strings.Contains(stdout, "HGET gw:meta ledger") || strings.Contains(stdout, "usage recover") || mended != (i == 0) {
			t.Errorf("%d, %q, %q", code, stdout, stderr)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger.id"), []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if stdout, _, code := execute(t, "usage", "recover", dir); code != 0 || !strings.Contains(stdout, "it was made again of ledger.id\n") {
		t.Errorf("%d, %q", code, stdout)
	}
}

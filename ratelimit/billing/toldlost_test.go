package billing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Whichever of the files that say what services were told are missing or older copies: either the other has all of it, or it is said,
// and nobody is told anything until the files are restored, or given up.
func TestWhatWasToldIsLost(t *testing.T) {
	states := []string{"last", "older", "missing"}
	for _, bills := range states {
		for _, told := range states {
			for _, running := range []bool{false, true} {
				if running && bills == "missing" {
					continue // it is damaged anyway
				}
				name := fmt.Sprintf("billing.db %s, told.db %s, running %t", bills, told, running)
				t.Run(name, func(t *testing.T) { toldFiles(t, map[string]string{"billing.db": bills, "told.db": told}, running) })
			}
		}
	}
}

func toldFiles(t *testing.T, states map[string]string, running bool) {
	at, dir := &clock{began: time.Now()}, t.TempDir()
	r := newReceivers(t, at)
	accounts := []Account{account("acme", soft, pays)}
	f := reopen(t, dir, at, accounts...)
	f.lines()
	hour := at.now()
	f.final(30)
	r.told(f)
	old := readFiles(t, dir)
	f.adjust(5, hour)
	r.told(f)
	last := readFiles(t, dir)
	if !running {
		f.end()
	}
	for name, state := range states {
		path := filepath.Join(dir, name)
		var err error
		switch state {
		case "older":
			err = errors.Join(os.Remove(path), os.WriteFile(path, old[name], 0o600))
		case "missing":
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	lost := states["billing.db"] != "last" && states["told.db"] != "last"
	missing := states["billing.db"] == "missing"
	verify := func() []metering.Finding {
		t.Helper()
		var found []metering.Finding
		var err error
		if f.open != nil {
			var answer VerifyAnswer
			answer, err = f.Verify()
			found = answer.Findings
		} else {
			var answer VerifyAnswer
			answer, err = VerifyDirectory(dir)
			found = answer.Findings
		}
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	found := verify()
	if (len(found) > 0) != (lost || missing) {
		t.Errorf("%+v", found)
	}
	if got := saysLost(found); got != lost {
		t.Errorf("%+v, lost %t", found, lost)
	}
	if missing && !lost {
		if _, err := RecoverDirectory(dir); err != nil {
			t.Fatal(err)
		}
	}
	if !running && (!missing || !lost) {
		f = reopen(t, dir, at, accounts...)
	}
	if lost {
		if !missing {
			_, err := f.Update(t.Context())
			if state, why := f.BillsState(); err == nil || state != StateDegraded || !strings.Contains(why.Error(), "from one copy") {
				t.Errorf("%v, %v, %v", err, state, why)
			}
			if !saysLost(verify()) {
				t.Error("the running gateway does not say it")
			}
			for _, s := range r.sinks {
				if state := f.export(s); !state.failing() {
					t.Errorf("%s: %+v", s.Name(), state)
				}
			}
			f.end()
		}
		given := copied(t, dir) // up
		if done, err := RecoverDirectory(given); err != nil || !saysLost(done.Findings) {
			t.Errorf("%+v, %v", done, err)
		}
		if again, err := RecoverDirectory(given); err != nil || len(again.Findings) > 0 {
			t.Errorf("%+v, %v", again, err)
		}
		g := reopen(t, given, at, accounts...)
		g.lines()
		if state, why := g.BillsState(); state != StateUp {
			t.Error(state, why)
		}
		g.end()
		for name, text := range last {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f = reopen(t, dir, at, accounts...)
	}
	f.adjust(-7, hour)
	f.final(3)
	r.told(f)
	r.check(f)
	f.end()
	if found, err := VerifyDirectory(dir); err != nil || !found.OK {
		t.Errorf("%+v, %v", found, err)
	}
}

func readFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, name := range []string{"billing.db", "told.db"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	return files
}

func saysLost(all []metering.Finding) bool {
	for _, f := range all {
		if strings.Contains(f.Lost, "counts those hours twice") && !strings.HasPrefix(f.Lost, "nothing") {
			return true
		}
	}
	return false
}

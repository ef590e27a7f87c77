package gateway

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/regions"
)

// fill has no room for another record in the ledger: its directory is away, as on a disk that
// failed, and its files are full.
func fill(t *testing.T, ledger *metering.Ledger) {
	t.Helper()
	subject, err := ledger.Subject(metering.Subject{Project: "filler"})
	if err != nil {
		t.Fatal(err)
	}
	region, err := ledger.Region("eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000_000 {
		if _, err := ledger.Begin(metering.Invocation{Subject: subject, Region: region, At: time.Now()}); err != nil {
			return
		}
	}
	t.Fatal("the ledger takes everything")
}

// Contract 5.20: without a record there is no invocation, unless the plan has it go on; an end
// that cannot be recorded is an error in the log, and the caller has the answer.
func TestLedgerIsFull(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	began, proceed := make(chan struct{}), make(chan struct{})
	s := serve(t, "store embedded "+dir+"\nplan open {\nmeter_unavailable open\n}\n"+
		"projects text `"+`{"organizations":[{"id":"closed","plan":"pro"},{"id":"open","plan":"open"}],"projects":[`+
		`{"ref":"aaaaaaaaaaaaaaaaaaaa","organization":"closed","domains":["closed.example"],"functions":[{"slug":"*","verify_jwt":false}]},`+
		`{"ref":"bbbbbbbbbbbbbbbbbbbb","organization":"open","domains":["open.example"],"functions":[{"slug":"*","verify_jwt":false}]}]}`+"`", "",
		func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/waits") {
				began <- struct{}{}
				<-proceed
			}
			functions(w, r)
		})
	call := func(host, slug string) received {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/functions/v1/"+slug, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		return s.do(t, request)
	}
	answer := make(chan received)
	go func() { answer <- call("closed.example", "waits") }()
	select {
	case <-began:
	case early := <-answer:
		t.Fatalf("%d %s", early.StatusCode, early.body)
	}
	app := runningApp(t)
	ledger := app.Engine().Ledger()
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	fill(t, ledger)
	close(proceed)
	if got := <-answer; got.StatusCode != http.StatusOK {
		t.Errorf("a call that had begun: %d %s", got.StatusCode, got.body)
	}
	logged.expect(t, "end of invocation not recorded in the ledger; the invocation counts", `"level":"error"`)
	if got := call("closed.example", "hello"); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "METERING_UNAVAILABLE") || strings.Contains(got.body, dir) {
		t.Errorf("a plan that is closed: %d %s", got.StatusCode, got.body)
	}
	logged.expect(t, "the invocation cannot be recorded: ")
	status := app.Status()
	if status.Ledger == nil || status.Ledger.State != regions.StateDown || status.Ledger.Error == "" || status.Store.State != string(regions.StateDown) || status.Store.Error == "" {
		t.Errorf("status of the ledger %+v, of the store %+v", status.Ledger, status.Store)
	}
	logged.expect(t, `"from":"up"`, `"to":"down"`, dir)
	if got := call("open.example", "hello"); got.StatusCode != http.StatusOK || ledger.Deferred() != 1 {
		t.Errorf("a plan that is open: %d %s, %d deferred", got.StatusCode, got.body, ledger.Deferred())
	}
	if values := app.scrape(); values.Ledger.Waiting != 1 {
		t.Errorf("metrics %+v", values.Ledger)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
}

// Contract 5.20: when the directory of the ledger is taken away while the gateway runs, calls are refused within seconds, and log,
// status and metrics say so with the remedy; when it is back, calls go on.
func TestLedgerIsDisplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ledger")
	s := serve(t, "store embedded "+dir+"\nprojects text `"+`{"organizations":[],"projects":[`+
		`{"ref":"aaaaaaaaaaaaaaaaaaaa","domains":["closed.example"],"functions":[{"slug":"*","verify_jwt":false}]}]}`+"`", "", functions)
	call := func() received {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/functions/v1/hello", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "closed.example"
		return s.do(t, request)
	}
	if got := call(); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	const remedy = "put it back, or stop the gateway and restore a copy"
	logged.expect(t, "files of the ledger not in their place; calls are answered 503", `"level":"error"`, dir)
	logged.expect(t, `"from":"up"`, `"to":"down"`, remedy, dir)
	app := runningApp(t)
	status := app.Status()
	if status.Ledger == nil || status.Ledger.State != regions.StateDown || !strings.Contains(status.Ledger.Error, remedy) {
		t.Errorf("%+v", status.Ledger)
	}
	if app.scrape().Ledger.Writable {
		t.Error("metrics say that the ledger can be written")
	}
	if got := call(); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "METERING_UNAVAILABLE") || strings.Contains(got.body, dir) {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	within(t, func() string {
		if err := app.Engine().Ledger().Writable(); err != nil {
			return err.Error()
		}
		return ""
	})
	if got := call(); got.StatusCode != http.StatusOK {
		t.Errorf("it is back: %d %s", got.StatusCode, got.body)
	}
}

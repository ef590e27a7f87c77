package gateway

import (
	"errors"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// A Redis whose clock is ten minutes ahead is followed: calls pass, and their billing time is that of Redis. The gateway says
// that it is degraded, and why.
func TestClocksApart(t *testing.T) {
	const ahead = 10 * time.Minute
	redis := redistest.Scripted(t, func(command []string) any {
		if !strings.EqualFold(command[0], "time") {
			return errors.New("ERR unknown command")
		}
		now := time.Now().Add(ahead)
		return []any{strconv.FormatInt(now.Unix(), 10), strconv.Itoa(now.Nanosecond() / 1000)}
	})
	s := serve(t, "store redis "+redis.URL()+" "+filepath.Join(t.TempDir(), "ledger")+"\n"+public("hello"), "", functions)
	app := runningApp(t)
	if got := s.call(t, http.MethodGet, "/functions/v1/hello", ""); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.body)
	}
	if off := time.Until(app.engine.Ledger().Now()) - ahead; off.Abs() > 5*time.Second {
		t.Errorf("the billing clock is %s from that of Redis", off)
	}
	if status := app.Status(); status.Store.State != "degraded" || !strings.Contains(status.Store.Error, "10m0s apart") {
		t.Errorf("status %+v", status.Store)
	}
	logged.expect(t, `"what":"clock"`, `"to":"degraded"`, `"level":"warn"`)
}

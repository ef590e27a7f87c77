package demo

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestStartAndStopLeaveNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var out strings.Builder
	d, err := start(options{listen: "127.0.0.1:0", stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	config := string(d.caddyfile())
	for _, r := range d.regions {
		start := time.Now()
		if _, body := get(t, client, "http://"+r.addr+"/hello"); !strings.Contains(body, r.name) {
			t.Errorf("%s answered %s", r.name, body)
		}
		if took := time.Since(start); took < r.delay {
			t.Errorf("%s answered after %v", r.name, took)
		}
		if !strings.Contains(config, "region "+r.name+" {\n\t\t\tbackend http://"+r.addr+"\n") {
			t.Errorf("%s is not in the configuration:\n%s", r.name, config)
		}
	}
	d.onExit(t.Context())
	d.stop() // a second time
	transport.CloseIdleConnections()
	for _, r := range d.regions {
		if conn, err := net.Dial("tcp", r.addr); err == nil {
			_ = conn.Close()
			t.Errorf("%s still listens", r.name)
		}
	}
	goleak.VerifyNone(t, before)
}

func TestLoadSaysWhichStepFailed(t *testing.T) {
	// This test binary holds no gateway, so its configuration is refused.
	d := still()
	d.regions = nil
	err := d.load()
	if err == nil || !strings.Contains(err.Error(), "Caddyfile") {
		t.Errorf("got %v", err)
	}
}

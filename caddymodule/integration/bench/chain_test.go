package bench

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const secret = "bench-secret-of-more-than-thirty-two-bytes"

// BenchmarkChain calls a backend that answers 99 bytes of JSON through each way in turn. cpu-us/op is the processor
// time of the gateway's process for one request; client and backend run in the process of the benchmark.
func BenchmarkChain(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"message":"`+strings.Repeat("x", 85)+`"}`)
	}))
	b.Cleanup(backend.Close)
	port, pid := startBinary(b, strings.TrimPrefix(backend.URL, "http://"), "", "")
	for _, way := range []struct{ name, path, authorization string }{
		{"reverse_proxy", "/plain/open", ""},
		{"edge_functions/open", "/functions/v1/open", ""},
		{"edge_functions/api_key", "/functions/v1/closed", "Bearer sb_publishable_bench"},
		{"edge_functions/hs256", "/functions/v1/closed", "Bearer " + token()},
	} {
		b.Run(way.name, func(b *testing.B) { callAll(b, port, pid, way.path, way.authorization) })
	}
}

// callAll calls a path of the gateway over many connections.
func callAll(b *testing.B, port, pid int, path, authorization string) {
	b.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d%s", port, path)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.SetParallelism(32) // of GOMAXPROCS: connections, not processors
	before := cpu(b, pid)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call(b, client, url, authorization)
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((cpu(b, pid)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/op")
}

// BenchmarkInvocationLog calls the same function with a token through gateways without an invocation log, with one of a tenth of
// the calls, and with one of all of them, in a file.
func BenchmarkInvocationLog(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"message":"`+strings.Repeat("x", 85)+`"}`)
	}))
	b.Cleanup(backend.Close)
	gateways := []struct {
		name, option string
		port, pid    int
	}{{name: "off"}, {name: "sample_10%", option: "invocation_log {\nsample 10%\n}"}, {name: "all", option: "invocation_log"}}
	for i := range gateways {
		output := "log default {\nexclude edge_functions.invocations\n}\nlog invocations {\noutput file " + filepath.Join(b.TempDir(), "invocations.log") +
			"\nformat edge_functions\ninclude edge_functions.invocations\n}"
		gateways[i].port, gateways[i].pid = startBinary(b, strings.TrimPrefix(backend.URL, "http://"), output, gateways[i].option)
	}
	for round := range interleaved {
		for _, g := range gateways {
			b.Run(fmt.Sprintf("%s/round=%d", g.name, round), func(b *testing.B) { callAll(b, g.port, g.pid, "/functions/v1/closed", "Bearer "+token()) })
		}
	}
}

// BenchmarkRequestMetrics calls the same function with a token through gateways that count no requests in metrics, that count them, and
// that count those of projects, too.
func BenchmarkRequestMetrics(b *testing.B) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"message":"`+strings.Repeat("x", 85)+`"}`)
	}))
	b.Cleanup(backend.Close)
	gateways := []struct {
		name, option string
		port, pid    int
	}{{name: "off", option: "request_metrics off"}, {name: "on"}, {name: "top_projects", option: "top_projects 20"}}
	for i := range gateways {
		gateways[i].port, gateways[i].pid = startBinary(b, strings.TrimPrefix(backend.URL, "http://"), "", gateways[i].option)
	}
	for round := range interleaved {
		for _, g := range gateways {
			b.Run(fmt.Sprintf("%s/round=%d", g.name, round), func(b *testing.B) { callAll(b, g.port, g.pid, "/functions/v1/closed", "Bearer "+token()) })
		}
	}
}

// interleaved is the number of rounds in which gateways take turns, so that what else the machine does harms all of them alike.
const interleaved = 15

func call(b *testing.B, client *http.Client, url, authorization string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		b.Error(err)
		return
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	res, err := client.Do(req)
	if err != nil {
		b.Error(err)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		b.Errorf("%s: %d, %v", url, res.StatusCode, err)
	}
}

// startBinary builds and runs the gateway until the benchmark ends, with further global options and options of the gateway.
func startBinary(b *testing.B, backend, global, options string) (port, pid int) {
	b.Helper()
	dir := b.TempDir()
	binary := filepath.Join(dir, "edgegate")
	if out, err := exec.Command("go", "build", "-o", binary, "../../../cmd/edgegate").CombinedOutput(); err != nil {
		b.Fatalf("building the binary: %v\n%s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	config := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	%[4]s
	edge_functions {
		%[5]s
		location eu-central-1
		region eu-central-1 {
			backend http://%[1]s
		}
		region us-east-1 {
			backend http://%[1]s
		}
		region ap-south-1 {
			backend http://%[1]s
		}
		project default {
			jwt_secret %[2]s
			api_key publishable sb_publishable_bench
			function open {
				verify_jwt off
			}
			function closed
		}
	}
}
http://127.0.0.1:%[3]d {
	handle_path /plain/* {
		reverse_proxy %[1]s
	}
	edge_functions /functions/v1/*
}
`, backend, secret, port, global, options)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			conn.Close()
			return port, cmd.Process.Pid
		}
		if time.Now().After(deadline) {
			b.Fatalf("the binary does not listen: %v", err)
		}
	}
}

// cpu returns the processor time that a process has used (proc(5), fields 14 and 15 of stat, in ticks of 10 ms).
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

func token() string {
	enc := base64.RawURLEncoding
	head := enc.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + enc.EncodeToString([]byte(`{"role":"anon"}`))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(head))
	return head + "." + enc.EncodeToString(mac.Sum(nil))
}

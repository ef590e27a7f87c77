//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// processorTime is what the gateway has used of processors, from /proc.
func processorTime(t *testing.T, g *gateway) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// flood sends requests from an address of its own over a few connections, one after another on each, and counts the statuses.
func flood(t *testing.T, g *gateway, from string, n int, request func(i int) string) map[int]int {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var next atomic.Int64
	var mu sync.Mutex // guards statuses
	statuses := make(map[int]int)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			conn, err := dialer.Dial("tcp", g.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
			r := bufio.NewReader(conn)
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if _, err := io.WriteString(conn, request(i)); err != nil {
					t.Error(err)
					return
				}
				res, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				mu.Lock()
				statuses[res.StatusCode]++
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return statuses
}

// Contract 9.8: with a limit by address a flood of forged tokens costs no signatures: nearly all of it is 429, and those who call
// from elsewhere, also with new tokens, are not refused. What the gateway works for a forged token is bounded in any case.
func TestFloodOfForgedTokens(t *testing.T) {
	w := startWitness(t)
	forger, signer := newECKey(t, "k"), newECKey(t, "k")
	keys, err := json.Marshal(object{"keys": []object{signer.jwk()}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	request := func(k ecKey, i int) string {
		return "GET /functions/v1/private HTTP/1.1\r\nHost: any.example\r\nAuthorization: Bearer " + k.token("k", fmt.Sprintf(`{"sub":"%d"}`, i)) + "\r\n\r\n"
	}
	const n = 4000
	cost := make(map[string]time.Duration)
	for name, options := range map[string]string{"unlimited": "", "limited": "\t\trate_limit client_ip 20/s"} {
		g := startGateway(t, config{
			backends: []backend{{region: "eu-central-1", address: w.address()}}, options: options,
			project: "\t\t\tjwks " + file, functions: "\t\t\tfunction private\n",
		})
		forged := make([]string, n+1)
		for i := range forged {
			forged[i] = request(forger, i)
		}
		before := processorTime(t, g)
		statuses := flood(t, g, "127.0.0.2", n, func(i int) string { return forged[i] })
		cost[name] = (processorTime(t, g) - before) / n
		t.Logf("%s: %v, %s of a processor for each", name, statuses, cost[name])
		if statuses[http.StatusUnauthorized]+statuses[http.StatusTooManyRequests]+statuses[http.StatusServiceUnavailable] != n {
			t.Errorf("%s: %v", name, statuses)
		}
		if name == "limited" && statuses[http.StatusTooManyRequests] < n/2 {
			t.Errorf("%s: %v", name, statuses)
		}
		others := flood(t, g, "127.0.0.3", 20, func(i int) string { return request(signer, i) })
		if others[http.StatusOK] != 20 {
			t.Errorf("%s: others are answered %v", name, others)
		}
	}
	if cost["limited"] > cost["unlimited"] {
		t.Errorf("a refused call costs %s, a checked one %s", cost["limited"], cost["unlimited"])
	}
}

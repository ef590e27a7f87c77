//go:build e2e

package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

// large is the size of contract 6.5; maxGrowth is what the process may grow by meanwhile.
const (
	large     = 100 << 20
	maxGrowth = 60 << 20
)

// pattern repeats the block of functions/_shared/bytes.ts up to a length.
type pattern struct {
	block []byte
	at    int
	left  int
}

func newPattern(n int) *pattern {
	block := make([]byte, 65536)
	for i := range block {
		block[i] = byte(i*31 + i>>8)
	}
	return &pattern{block: block, left: n}
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.left)], p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	p.left -= n
	return n, nil
}

func patternHash(n int) string {
	h := sha256.New()
	_, _ = io.Copy(h, newPattern(n)) // neither end can fail
	return hex.EncodeToString(h.Sum(nil))
}

// memory reads one field of /proc/PID/status, in bytes.
func memory(t *testing.T, pid int, field string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		if name == field {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatalf("/proc has no %s", field)
	return 0
}

// TestLargeBodiesInConstantMemory sends 100 MB through a fresh process each way (contract 6.5) and reads the high-water mark.
func TestLargeBodiesInConstantMemory(t *testing.T) {
	g := startGateway(t, config{})
	want := patternHash(large)
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	do := func(t *testing.T, method, target string, body io.Reader, length int64) *http.Response {
		t.Helper()
		req, err := http.NewRequest(method, g.url+"/functions/v1/"+target, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		req.Header.Set("Authorization", "Bearer "+anonToken())
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		if res.StatusCode != 200 {
			text, _ := io.ReadAll(res.Body)
			t.Fatalf("%s %s was answered %d %s", method, target, res.StatusCode, text)
		}
		return res
	}
	for range 50 {
		_, _ = io.Copy(io.Discard, do(t, "GET", "echo", nil, 0).Body)
	}
	before := memory(t, g.cmd.Process.Pid, "VmRSS")
	for _, length := range []int64{large, -1} {
		t.Run(fmt.Sprintf("contract 6.5 100 MB up, Content-Length %d", length), func(t *testing.T) {
			text, err := io.ReadAll(do(t, "POST", "upload", newPattern(large), length).Body)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), want) || !strings.Contains(string(text), fmt.Sprintf(`"length":%d`, large)) {
				t.Errorf("the function read %s, want length %d, sha256 %s", text, large, want)
			}
		})
	}
	t.Run("contract 6.5 100 MB down", func(t *testing.T) {
		h := sha256.New()
		n, err := io.Copy(h, do(t, "GET", fmt.Sprintf("download?bytes=%d", large), nil, 0).Body)
		if err != nil || n != large || hex.EncodeToString(h.Sum(nil)) != want {
			t.Errorf("read %d bytes, %v, with another hash", n, err)
		}
	})
	t.Run("contract 6.5 the process grew by less than 60 MB", func(t *testing.T) {
		peak := memory(t, g.cmd.Process.Pid, "VmHWM")
		t.Logf("RSS %d MB before, at most %d MB", before>>20, peak>>20)
		if peak-before > maxGrowth {
			t.Errorf("it grew from %d MB to %d MB", before>>20, peak>>20)
		}
	})
}

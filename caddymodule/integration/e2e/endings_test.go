//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// way is one way for a call to end.
type way struct {
	name string
	run  func(g *gateway) error // makes the call, and says what is wrong with its end
}

// dialed is a raw connection that ends with the way.
func dialed(g *gateway, talk func(conn net.Conn) error) error {
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return err
	}
	return talk(conn)
}

// asks sends a request and judges the answer; err is how reading it ended.
func asks(raw string, judge func(got reply, err error) error) func(*gateway) error {
	return func(g *gateway) error {
		return dialed(g, func(conn net.Conn) error {
			if _, err := io.WriteString(conn, raw); err != nil {
				return err
			}
			return judge(readReply(conn, "GET"))
		})
	}
}

func getPlay(target string, header ...string) string {
	return rawRequest("GET", target, "any.example", "", header...)
}

// statusWays are all statuses that an answer can have, as its final one (contract 5.13, 5.27).
func statusWays(b *played) []way {
	var ways []way
	for status := range 1000 {
		want, code := status, ""
		switch {
		case status >= 100 && status < 200 && status != 101:
			want, code = 502, "BACKEND_ERROR" // an interim answer, and then no other
		case status < 200, status >= 600:
			want, code = 500, "INVALID_RESPONSE_STATUS_CODE"
		}
		body := "ok"
		if status < 200 || status == 204 || status == 304 {
			body = ""
		}
		target := b.add(says(fmt.Sprintf("HTTP/1.1 %03d Any\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)))
		ways = append(ways, way{fmt.Sprintf("status %03d", status), asks(getPlay(target, "Origin: https://a.example"), func(got reply, err error) error {
			if err != nil || got.status != want || code != "" && got.code() != code || got.header.Get("Access-Control-Allow-Origin") == "" {
				return fmt.Errorf("answered %d %s %q, %v, want %d %s", got.status, got.code(), got.body, err, want, code)
			}
			return nil
		})})
	}
	return ways
}

const upgradeHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="

// cutWays break answers off at each of their bytes: before the first byte of the body the client gets 502, after it a
// broken answer, and never a whole one or none (contract 5.31, 6.8).
func cutWays(b *played) []way {
	var ways []way
	for name, answer := range map[string]string{
		"known length":   "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
		"chunked":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		"early hints":    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"server failure": "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{    ",
	} {
		first := strings.LastIndex(answer, "\r\n\r\nh") + 4
		switch name {
		case "chunked":
			first = strings.Index(answer, "3\r\nhel") + 3
		case "server failure":
			first = strings.Index(answer, "{")
		}
		for n := range len(answer) + 1 {
			target := b.add(says(answer[:n]))
			ways = append(ways, way{fmt.Sprintf("%s, cut after %d of %d bytes", name, n, len(answer)), asks(getPlay(target), func(got reply, err error) error {
				switch {
				case n <= first && (err != nil || got.status != 502 || got.code() != "BACKEND_ERROR"):
				case n > first && n < len(answer) && (err == nil || got.status != 200 && got.status != 500):
				case n == len(answer) && (err != nil || len(got.body) != 5):
				default:
					return nil
				}
				return fmt.Errorf("answered %d %s %q, %v", got.status, got.code(), got.body, err)
			})})
		}
	}
	return ways
}

// upgradeWays are WebSockets that come about, are refused, and break.
func upgradeWays(b *played) []way {
	const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	var ways []way
	for name, answer := range map[string]string{
		"breaks in its head":             switched[:40],
		"ends at once":                   switched,
		"breaks in a frame":              switched + "\x81\x05he",
		"closes":                         switched + "\x81\x02hi\x88\x00",
		"is refused with 403":            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
		"switches to something else":     strings.ReplaceAll(switched, "websocket", "other"),
		"is answered without an upgrade": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		for _, client := range []string{"reads", "leaves", "resets"} {
			target := b.add(says(answer))
			ways = append(ways, way{"a WebSocket that " + name + ", and a client that " + client, func(g *gateway) error {
				return dialed(g, func(conn net.Conn) error {
					if _, err := io.WriteString(conn, getPlay(target, upgradeHeader)); err != nil {
						return err
					}
					switch client {
					case "reads":
						if all, _ := io.ReadAll(io.LimitReader(conn, 12)); !strings.HasPrefix(string(all), "HTTP/1.1 ") {
							return fmt.Errorf("answered %q", all)
						}
					case "resets":
						return conn.(*net.TCPConn).SetLinger(0)
					}
					return nil
				})
			}})
		}
	}
	return ways
}

// goneWays are clients that go away at each stage of a call.
func goneWays(b *played) []way {
	waits := func(answer string) play {
		return func(conn net.Conn, body io.Reader) {
			_, _ = io.WriteString(conn, answer)
			_, _ = io.Copy(io.Discard, body)
			_, _ = io.Copy(io.Discard, conn) // until the gateway ends it
		}
	}
	request := rawRequest("POST", "%s", "any.example", "0123456789", "Content-Length: 10")
	chunked := rawRequest("POST", "%s", "any.example", "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
	var ways []way
	for _, sent := range []string{request, chunked} {
		for name, answer := range map[string]string{
			"before an answer":          "",
			"after an interim answer":   "HTTP/1.1 102 Processing\r\n\r\n",
			"in the head of the answer": "HTTP/1.1 200 OK\r\nContent-Le",
			"after the head":            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
			"in the body":               "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
			"in an event stream":        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		} {
			for _, reset := range []bool{false, true} {
				for _, part := range []int{0, 5, 12} {
					target := b.add(waits(answer))
					ways = append(ways, way{fmt.Sprintf("a client that goes %s, %d bytes short, reset %v", name, part, reset), func(g *gateway) error {
						return dialed(g, func(conn net.Conn) error {
							text := fmt.Sprintf(sent, target)
							if _, err := io.WriteString(conn, text[:len(text)-part]); err != nil {
								return err
							}
							if part == 0 && strings.Contains(answer, "hello") {
								if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
									return fmt.Errorf("got %q, %v", line, err)
								}
							}
							if reset {
								return conn.(*net.TCPConn).SetLinger(0)
							}
							return nil
						})
					}})
				}
			}
		}
	}
	return ways
}

// idle fails the test unless the gateway comes to hold nothing.
func (g *gateway) idle(t *testing.T) {
	t.Helper()
	var last string
	holds := func() bool {
		var s struct {
			Regions []struct {
				Region   string
				InFlight int64 `json:"in_flight"`
				Load     *float64
				Sockets  struct {
					InFlight int64 `json:"in_flight"`
				} `json:"websockets"`
				Backends []struct{ State string }
			}
			WebSockets int
		}
		adminGet(t, g, "/edge_functions/status", &s)
		var said struct{ Levels []level5 }
		adminGet(t, g, "/edge_functions/usage/reconcile", &said)
		l := said.Levels[len(said.Levels)-1]
		callers := metricOf(t, g, "edgegate_in_flight_callers")
		last = fmt.Sprintf("%+v, %s in flight, %+v", s, callers, l)
		under := l.Parts[len(l.Parts)-1]
		return s.WebSockets == 0 && s.Regions[0].InFlight == 0 && s.Regions[0].Sockets.InFlight == 0 && callers == "0" && (s.Regions[0].Load == nil || *s.Regions[0].Load == 0) &&
			under.What == "under way" && under.Number == 0 && l.Difference == 0
	}
	for deadline := time.Now().Add(askTimeout); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("contract 5.29: the gateway still holds %s", last)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// pick returns a sample of the ways, the same each time, or all under the build tag soak.
func pick(ways []way) []way {
	random := rand.New(rand.NewPCG(12, 3))
	random.Shuffle(len(ways), func(i, k int) { ways[i], ways[k] = ways[k], ways[i] })
	return ways[:min(len(ways), endingSample)]
}

// caps are those of calls in flight, which too must be given back (contract 9.6).
const caps = "\n\t\tin_flight project 1000\n\t\tin_flight function 1000\n\t\tin_flight client_ip 1000"

// Contract 5.29: whatever way a call ends, everything that it held is given back.
func TestEndings(t *testing.T) {
	g, b := startPlayedGateway(t, config{options: "\t\tidle_timeout 60s" + caps})
	before := goroutines(t, g)
	for _, kind := range []struct {
		name string
		ways []way
	}{
		{"every status", statusWays(b)},
		{"answers cut at every byte", cutWays(b)},
		{"upgrades", upgradeWays(b)},
		{"clients that go", goneWays(b)},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for _, w := range pick(kind.ways) {
				if err := w.run(g); err != nil {
					t.Errorf("%s: %v", w.name, err)
				}
			}
			g.idle(t)
		})
	}
	t.Run("the region takes calls as before", func(t *testing.T) {
		var running sync.WaitGroup
		for range 10 {
			running.Go(func() {
				res, err := http.Get(g.url + "/functions/v1/f")
				if err != nil {
					t.Error(err)
					return
				}
				res.Body.Close()
				if res.StatusCode != 200 {
					t.Errorf("answered %d", res.StatusCode)
				}
			})
		}
		running.Wait()
		http.DefaultClient.CloseIdleConnections()
		g.idle(t)
	})
	t.Run("no goroutine is left", func(t *testing.T) {
		waitUntil(t, "the goroutines end", func() bool { return goroutines(t, g) <= before+10 })
	})
}

// Contract 5.29, 6.6: the same while configurations are replaced.
func TestEndingsWhileReloading(t *testing.T) {
	c := config{options: "\t\tidle_timeout 60s" + caps}
	g, b := startPlayedGateway(t, c)
	c.backends = []backend{{region: regionNames[0], address: b.addr, more: "\t\t\tcapacity 10\n"}}
	c.functions = rawFunctions
	ways := pick(append(append(statusWays(b), cutWays(b)...), append(upgradeWays(b), goneWays(b)...)...))
	work := make(chan way)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for w := range work {
				// What a client sees meanwhile is for TestEndings, but for a gateway that does not answer.
				if err := w.run(g); errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%s: %v", w.name, err)
				}
			}
		})
	}
	for i, w := range ways {
		if i%(len(ways)/4+1) == 1 {
			c.options = fmt.Sprintf("\t\tidle_timeout %ds", 60+i) + caps
			if status, said := load(t, g, c.caddyfile(g.port, g.admin)); status != 200 {
				t.Fatalf("loading: %d %s", status, said)
			}
		}
		work <- w
	}
	close(work)
	running.Wait()
	g.idle(t)
}

//go:build e2e

package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// strictBackend is a backend that reads requests as RFC 9112 defines them and as nobody's library does it: three parts
// divided by one space each, lines that end in CRLF, one Host. It keeps what it read, and what broke a rule.
type strictBackend struct {
	addr string

	mu      sync.Mutex // guards the rest
	targets []string
	hosts   []string
	broken  []string
}

var (
	strictLine   = regexp.MustCompile(`^(?:GET|POST|PUT|PATCH|DELETE|OPTIONS) (/f(?:[/?][^\x00-\x20#\x7f]*)?) HTTP/1\.1$`)
	strictHeader = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\\x00-\\x08\\x0a-\\x1f\\x7f]*$")
)

func startStrictBackend(t *testing.T) *strictBackend {
	t.Helper()
	b := new(strictBackend)
	b.addr = listenRaw(t, func(conn net.Conn) {
		for r := bufio.NewReader(conn); b.serve(conn, r); {
		}
	})
	return b
}

// serve answers one request and reports whether the connection stays usable.
func (b *strictBackend) serve(conn net.Conn, r *bufio.Reader) bool {
	var lines []string
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return false
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || strings.ContainsAny(text, "\r\n") {
			b.report("a line that ends without CRLF: %q", line)
			return false
		}
		if text == "" {
			break
		}
		lines = append(lines, text)
	}
	if len(lines) == 0 || strings.HasPrefix(lines[0], "GET /_internal/health HTTP/1.1") && strings.Contains(strings.Join(lines, "\n"), "edgegate-health") {
		_, err := fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return err == nil
	}
	match := strictLine.FindStringSubmatch(lines[0])
	if match == nil {
		b.report("the request line %q", lines[0])
		return false
	}
	var hosts []string
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case !strictHeader.MatchString(line):
			b.report("the header line %q", line)
		case strings.EqualFold(name, "Host"):
			hosts = append(hosts, strings.TrimSpace(value))
		case strings.EqualFold(name, "Content-Length") && strings.TrimSpace(value) != "0", strings.EqualFold(name, "Transfer-Encoding"):
			b.report("a body that nobody sent: %q", line)
		}
	}
	if len(hosts) != 1 {
		b.report("%d hosts: %q", len(hosts), hosts)
		return false
	}
	b.mu.Lock()
	b.targets, b.hosts = append(b.targets, match[1]), append(b.hosts, hosts[0])
	b.mu.Unlock()
	_, err := fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
	return err == nil
}

func (b *strictBackend) report(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = append(b.broken, fmt.Sprintf(format, args...))
}

// take returns what was read since the last call.
func (b *strictBackend) take() (targets, hosts, broken []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	targets, hosts, broken = b.targets, b.hosts, b.broken
	b.targets, b.hosts, b.broken = nil, nil, nil
	return targets, hosts, broken
}

// startStrictGateway is a gateway with TLS, and so with all three protocols, in front of a strict backend.
func startStrictGateway(t *testing.T) (*gateway, *strictBackend) {
	t.Helper()
	b := startStrictBackend(t)
	g := prepareGateway(t)
	startTLSGateway(t, g, config{backends: []backend{{region: regionNames[0], address: b.addr}}, functions: rawFunctions})
	return g, b
}

// startTLSGateway runs a gateway with a certificate for localhost whose site answers every host.
func startTLSGateway(t *testing.T, g *gateway, c config) {
	t.Helper()
	c.tls = true
	site := fmt.Sprintf("https://localhost:%d", g.port)
	g.start(t, strings.Replace(c.caddyfile(g.port, g.admin), site, fmt.Sprintf("%s, https://:%d", site, g.port), 1))
	eventually(t, "a certificate for localhost", func() bool {
		conn, err := tls.Dial("tcp", g.addr, testTLS("http/1.1"))
		return err == nil && conn.Close() == nil
	})
}

// TestRequestLines sends each byte in path and query over each protocol: contract 1.3, 1.5.
func TestRequestLines(t *testing.T) {
	g, b := startStrictGateway(t)
	for protocol, ask := range speakers(g.addr) {
		t.Run(protocol, func(t *testing.T) {
			for c := range 256 {
				for _, format := range []string{"/f/a%sb", "/f?a%sb"} {
					sent := strings.Replace(format, "%s", string([]byte{byte(c)}), 1)
					got := ask(t, getOf("any.example", "/functions/v1"+sent))
					targets, _, broken := b.take()
					if len(broken) > 0 {
						t.Fatalf("contract 1.5 %q reached the backend as %q", sent, broken)
					}
					if forbidden := c <= ' ' || c == 0x7f || c == '#'; forbidden {
						if len(targets) > 0 || got.status != 0 && got.status != 400 {
							t.Errorf("contract 1.5 %q was answered %d and reached the backend as %q", sent, got.status, targets)
						}
						continue
					}
					if strings.Contains(sent, "/a%b") {
						continue // a malformed escape in a path: net/http's to refuse
					}
					if got.status != 200 || len(targets) != 1 || targets[0] != sent {
						t.Errorf("contract 1.3 %q was answered %d %s and reached the backend as %q", sent, got.status, got.body, targets)
					}
				}
			}
			t.Run("contract 1.5 what the gateway refuses says so", func(t *testing.T) {
				for _, sent := range []string{"/f/a#b", "/f?a#b", "/f/.. ", "/f/..;/x", "/f/..%20/x", "/f/..%09", "/f/..%00", "/f/%c0%ae%c0%ae/x", "/f/%ef%bc%8e%ef%bc%8e/x", "/f/\xc0\xae\xc0\xae/x"} {
					if protocol == "HTTP/1.1" && strings.Contains(sent, " ") {
						continue // net/http's own 400
					}
					if got := ask(t, getOf("any.example", "/functions/v1"+sent)); got.status != 400 || got.code() != "INVALID_URL" {
						t.Errorf("%q was answered %d %s", sent, got.status, got.code())
					}
				}
				if targets, _, broken := b.take(); len(targets)+len(broken) > 0 {
					t.Errorf("the backend got %q %q", targets, broken)
				}
			})
			t.Run("contract 1.5 hosts", func(t *testing.T) {
				for _, host := range []string{"a b", "a\tb", "a\r\nX-Forged: 1", "a\x00b", "a/b", "a?b", "a#b", "u@a", "ä.example", "\xff"} {
					got := ask(t, getOf(host, "/functions/v1/f"))
					if got.status == 200 && strings.HasPrefix(host, "a\r\n") && protocol == "HTTP/1.1" {
						b.take() // there it is a header of its own
						continue
					}
					if targets, hosts, broken := b.take(); len(targets)+len(broken) > 0 || got.status != 0 && got.status != 400 {
						t.Errorf("host %q was answered %d and reached the backend as %q %q", host, got.status, hosts, broken)
					}
				}
				if got := ask(t, getOf("A.example:8443", "/functions/v1/f")); got.status != 200 {
					t.Errorf("answered %d %s", got.status, got.body)
				}
				if _, hosts, _ := b.take(); len(hosts) != 1 || hosts[0] != "A.example:8443" {
					t.Errorf("the backend got hosts %q", hosts)
				}
			})
			if protocol == "HTTP/1.1" {
				return
			}
			t.Run("contract 5.8 methods that are none of the six", func(t *testing.T) {
				for _, method := range []string{"CONNECT", "GET /_internal HTTP/1.1\r\nX:", "G T", "", "get", "TRACE"} {
					fields := getOf("any.example", "/functions/v1/f")
					fields[0][1] = method
					extended := append(rawFields{{":protocol", "websocket"}}, fields...)
					for _, fields := range []rawFields{fields, extended} {
						got := ask(t, fields)
						if targets, _, broken := b.take(); len(targets)+len(broken) > 0 || got.status != 0 && got.status != 405 && got.status != 400 {
							t.Errorf("%q was answered %d and reached the backend as %q %q", fields, got.status, targets, broken)
						}
					}
				}
			})
			t.Run("contract 1.3 absolute and asterisk form", func(t *testing.T) {
				for _, target := range []string{"*", "", "http://any.example/functions/v1/f/../x", "//any.example/functions/v1/f", "functions/v1/f"} {
					got := ask(t, getOf("any.example", target))
					if targets, _, broken := b.take(); len(targets)+len(broken) > 0 || got.status == 200 {
						t.Errorf("%q was answered %d and reached the backend as %q %q", target, got.status, targets, broken)
					}
				}
			})
		})
	}
}

// TestRequestLinesRandom sends targets made by chance over each protocol: contract 1.3, 1.5, 1.6. Whatever comes, the
// backend reads one request line of three parts for one function, and no reading of its path leaves that function.
func TestRequestLinesRandom(t *testing.T) {
	g, b := startStrictGateway(t)
	for protocol, ask := range speakers(g.addr) {
		t.Run(protocol, func(t *testing.T) {
			random := rand.New(rand.NewPCG(12, 7))
			passed, refused := 0, 0
			for range randomTargets {
				sent := randomTarget(random)
				got := ask(t, getOf("any.example", "/functions/v1/f"+sent))
				targets, hosts, broken := b.take()
				if len(broken) > 0 {
					t.Fatalf("contract 1.5 %q made the backend read %q", sent, broken)
				}
				for i, target := range targets {
					// In HTTP/1.1 a line break makes a header of what follows.
					if hosts[i] != "any.example" && (protocol != "HTTP/1.1" || !strings.Contains(sent, "\n")) {
						t.Errorf("contract 1.8 %q reached the backend with host %q", sent, hosts[i])
					}
					if outside, left := leavesFunction(target); left {
						t.Errorf("contract 1.5 %q reached the backend as %q, which may be read as %q", sent, target, outside)
					}
				}
				switch got.status {
				case 200:
					passed++
					// A line break makes two lines of it in HTTP/1.1, and a space may end the target.
					if plain := !strings.ContainsAny(sent, "\r\n "); plain && (len(targets) != 1 || targets[0] != "/f"+sent) {
						t.Errorf("contract 1.3 %q reached the backend as %q", sent, targets)
					}
				case 0, 400, 404:
					refused++
				default:
					t.Errorf("%q was answered %d %s", sent, got.status, got.body)
				}
			}
			if passed < randomTargets/20 || refused < randomTargets/20 {
				t.Errorf("%d passed and %d were refused: the generator has become one-sided", passed, refused)
			}
		})
	}
}

// targetParts are what random targets are made of.
var targetParts = []string{
	"/", "/", "/", "/", "a", "b", ".", "..", "..", "..", "../", "/..", "%2e", "%2E%2e", "%252e", "%25252525252e", "%", "%2f", "%2F", "%5c", `\`,
	";", ";a=b", "%3b", " ", "%20", "+", "\t", "%09", "\x00", "%00", "\r\n", "\n", "\r", "%0d%0a", "\x1f", "\x7f", "%7f", "#", "%23", "?", "?a=b", "%3f", "&",
	"\x80", "\xff", "\xc0\xae", "%c0%ae", "%e0%80%ae", "%c0%af", "%c1%9c", "\xc0", "%c0", "．", "%ef%bc%8e", "／", "%EF%BC%8F", "＼", "％", "\u2024", "\u2025",
	"\u00a0", "%C2%A0", "\u3000", "\u0085", "é", "|", "[x]", "\"<>", "_internal", "_internal/health",
	" HTTP/1.1\r\nHost: forged\r\n\r\nGET /_internal/secret", " HTTP/1.1\r\nX-Forged: 1\r\nX:",
}

func randomTarget(random *rand.Rand) string {
	var b strings.Builder
	b.WriteString([]string{"/", "/", "/", "?"}[random.IntN(4)])
	for range 1 + random.IntN(6) {
		b.WriteString(targetParts[random.IntN(len(targetParts))])
	}
	return b.String()
}

// twins are characters that some readers take for others, by what they take them for.
var twins = strings.NewReplacer("\xc0\xae", ".", "\xe0\x80\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`, "\xc0\x80", "\x00")

// leavesFunction reads a target in the ways that software behind the gateway may, and reports a reading outside of /f.
// It knows nothing of how the gateway decides.
func leavesFunction(target string) (string, bool) {
	text, _, _ := strings.Cut(target, "?")
	for range 8 {
		for _, reading := range readingsOf(text) {
			if clean := path.Clean(reading); clean != "/f" && !strings.HasPrefix(clean, "/f/") {
				return reading, true
			}
		}
		decoded := norm.NFKC.String(twins.Replace(unescapeAll(text)))
		if decoded == text {
			return "", false
		}
		text = decoded
	}
	return text, true
}

var escapes = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// unescapeAll undoes the escapes that are well-formed and leaves the others.
func unescapeAll(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(escape string) string {
		c, err := url.PathUnescape(escape)
		if err != nil {
			panic(err) // the expression lets only escapes through
		}
		return c
	})
}

func readingsOf(text string) []string {
	backslashes := strings.ReplaceAll(text, `\`, "/")
	parsed := strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(backslashes)
	cut := func(text, at string) string {
		if i := strings.IndexAny(text, at); i >= 0 {
			return text[:i]
		}
		return text
	}
	var trimmed, bare []string
	for segment := range strings.SplitSeq(backslashes, "/") {
		trimmed = append(trimmed, strings.TrimSpace(segment))
		bare = append(bare, cut(segment, ";"))
	}
	return []string{
		text, backslashes, parsed, cut(backslashes, "\x00"), cut(backslashes, " \t\r\n"), cut(backslashes, "?#"),
		strings.Join(trimmed, "/"), strings.Join(bare, "/"),
	}
}

package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// ScriptedServer speaks Redis's protocol and answers what a test says. It is for
// tests of what a caller does with an answer, above all with one that a real server
// gives seldom; unlike all others here it needs no redis-server. It is safe for
// concurrent use.
type ScriptedServer struct {
	Address string // 127.0.0.1 with the port

	listener net.Listener
	answer   func(command []string) any
	running  sync.WaitGroup

	mu       sync.Mutex // guards all below; one command is answered at a time
	commands [][]string
	conns    map[net.Conn]bool // true after SUBSCRIBE
}

// The answers of a function besides a string, an int, an int64, nil, an error, whose
// text is the reply, and a []any of all these.
type (
	// Status is a reply such as OK or QUEUED.
	Status string
	// Each is several replies to one command, as SUBSCRIBE has.
	Each []any
	// HangUp ends the connection without a reply.
	HangUp struct{}
	// Silence is no reply at all.
	Silence struct{}
)

// Scripted starts a server that ends with the test. answer is called with each
// command, its name in upper case, but for those that open a connection, which are
// AUTH, CLIENT, HELLO and SELECT.
func Scripted(t testing.TB, answer func(command []string) any) *ScriptedServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &ScriptedServer{
		Address:  listener.Addr().String(),
		listener: listener,
		answer:   answer,
		conns:    make(map[net.Conn]bool),
	}
	s.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.Stop)
	return s
}

// URL returns the URL as in a Caddyfile.
func (s *ScriptedServer) URL() string { return "redis://" + s.Address }

// Stop ends the server and its connections. A stopped one stays so.
func (s *ScriptedServer) Stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// Commands returns the commands so far that were answered by the function.
func (s *ScriptedServer) Commands() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Push sends a reply that nobody asked for to all subscribers.
func (s *ScriptedServer) Push(reply any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn, subscribed := range s.conns {
		if subscribed {
			_, _ = conn.Write(appendReply(nil, reply))
		}
	}
}

func (s *ScriptedServer) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	s.conns[conn] = false
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	for reader := bufio.NewReader(conn); ; {
		command, err := readCommand(reader)
		if err != nil || !s.reply(conn, command) {
			return
		}
	}
}

// reply answers a command. It reports whether the connection goes on.
func (s *ScriptedServer) reply(conn net.Conn, command []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer any
	switch command[0] {
	case "HELLO":
		answer = errors.New("ERR unknown command 'HELLO'")
	case "AUTH", "CLIENT", "SELECT":
		answer = Status("OK")
	default:
		s.commands = append(s.commands, command)
		answer = s.answer(command)
	}
	if command[0] == "SUBSCRIBE" {
		s.conns[conn] = true
	}
	if _, ends := answer.(HangUp); ends {
		return false
	}
	_, err := conn.Write(appendReply(nil, answer))
	return err == nil
}

// readCommand reads an array of bulk strings, which is all that clients send.
func readCommand(r *bufio.Reader) ([]string, error) {
	number := func(prefix string) (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		digits, ok := strings.CutPrefix(strings.TrimSpace(line), prefix)
		if !ok {
			return 0, fmt.Errorf("%q does not begin with %s", line, prefix)
		}
		return strconv.Atoi(digits)
	}
	n, err := number("*")
	if err != nil || n < 1 {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	command := make([]string, n)
	for i := range command {
		length, err := number("$")
		if err != nil {
			return nil, err
		}
		text := make([]byte, length+len("\r\n"))
		if _, err := io.ReadFull(r, text); err != nil {
			return nil, err
		}
		command[i] = string(text[:length])
	}
	command[0] = strings.ToUpper(command[0])
	return command, nil
}

func appendReply(b []byte, reply any) []byte {
	switch reply := reply.(type) {
	case Silence:
		return b
	case nil:
		return append(b, "$-1\r\n"...)
	case string:
		return fmt.Appendf(b, "$%d\r\n%s\r\n", len(reply), reply)
	case Status:
		return fmt.Appendf(b, "+%s\r\n", reply)
	case int, int64:
		return fmt.Appendf(b, ":%d\r\n", reply)
	case error:
		return fmt.Appendf(b, "-%s\r\n", reply)
	case Each:
		for _, one := range reply {
			b = appendReply(b, one)
		}
		return b
	case []any:
		b = fmt.Appendf(b, "*%d\r\n", len(reply))
		for _, one := range reply {
			b = appendReply(b, one)
		}
		return b
	default:
		return fmt.Appendf(b, "-ERR a test answers with a %T\r\n", reply)
	}
}

//go:build e2e

package e2e

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
)

// webSocket is the little of RFC 6455 that these tests need: short masked text out, whole frames in.
type webSocket struct {
	conn net.Conn
	r    *bufio.Reader
}

// WebSocket opcodes of RFC 6455 section 5.2.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
)

// openWebSocket upgrades a connection to ws-echo and fails the test if that is refused.
func openWebSocket(t *testing.T, addr string) *webSocket {
	t.Helper()
	conn := dial(t, addr)
	write(t, conn, rawRequest("GET", "/functions/v1/ws-echo?jwt="+anonToken(), "any.example", "",
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="))
	ws := &webSocket{conn: conn, r: bufio.NewReader(conn)}
	res, err := http.ReadResponse(ws.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrading: %v, %v", res, err)
	}
	return ws
}

// send writes one text frame of at most 125 bytes, masked with zeros.
func (ws *webSocket) send(text string) error {
	_, err := ws.conn.Write(append([]byte{0x80 | opText, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
	return err
}

// next reads one unfragmented frame.
func (ws *webSocket) next() (op byte, payload []byte, err error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(ws.r, head); err != nil {
		return 0, nil, err
	}
	if head[0]&0x80 == 0 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("frame header % x is fragmented or masked", head)
	}
	n := int(head[1])
	switch n {
	case 126:
		long := make([]byte, 2)
		if _, err := io.ReadFull(ws.r, long); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(long))
	case 127:
		return 0, nil, fmt.Errorf("a frame longer than these tests send")
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(ws.r, payload)
	return head[0] & 0x0f, payload, err
}

// closeCode reads until the Close frame and returns its code; 0 if the connection ended without one.
func (ws *webSocket) closeCode() (uint16, error) {
	for {
		op, payload, err := ws.next()
		if err != nil {
			return 0, err
		}
		if op == opClose {
			if len(payload) < 2 {
				return 1005, nil
			}
			return binary.BigEndian.Uint16(payload), nil
		}
	}
}

// echo sends text and waits for it to come back.
func (ws *webSocket) echo(text string) error {
	if err := ws.send(text); err != nil {
		return err
	}
	for {
		op, payload, err := ws.next()
		if err != nil {
			return err
		}
		if op == opPing {
			continue
		}
		if op != opText || string(payload) != text {
			return fmt.Errorf("sent %q, got opcode %d with %q", text, op, payload)
		}
		return nil
	}
}

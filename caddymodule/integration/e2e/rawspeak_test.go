//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// askTimeout is how long an answer may take on a busy machine.
const askTimeout = 20 * time.Second

// rawFields are the request's fields as they go into the frame, in order: pseudo-headers first. No library checks them.
type rawFields [][2]string

// getOf is a GET of a target.
func getOf(authority, target string, more ...[2]string) rawFields {
	fields := rawFields{{":method", "GET"}, {":scheme", "https"}, {":authority", authority}, {":path", target}}
	return append(fields, more...)
}

// speaker sends requests whose fields are byte for byte as given, and reads the answer's status, sb-error-code and the
// like. A status of 0 means that the server refused the request before any handler saw it.
type speaker func(t *testing.T, fields rawFields) reply

// speakers are the three protocols of a gateway with TLS.
func speakers(addr string) map[string]speaker {
	return map[string]speaker{"HTTP/1.1": speakHTTP1(overTLS(addr)), "HTTP/2": speakHTTP2(addr), "HTTP/3": speakHTTP3(addr)}
}

// testTLS does not look at the certificate: it is the internal authority's, and not what is tested.
func testTLS(protocol string) *tls.Config {
	return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, NextProtos: []string{protocol}}
}

// overTLS dials for speakHTTP1.
func overTLS(addr string) func(*testing.T) net.Conn {
	return func(t *testing.T) net.Conn { return dialTLS(t, addr, "http/1.1") }
}

func dialTLS(t *testing.T, addr, protocol string) *tls.Conn {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: askTimeout}, "tcp", addr, testTLS(protocol))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// speakHTTP1 takes a new connection for each request: what it sends may be the end of one.
func speakHTTP1(dial func(*testing.T) net.Conn) speaker {
	return func(t *testing.T, fields rawFields) reply {
		t.Helper()
		conn := dial(t)
		defer conn.Close()
		var line, host string
		var rest strings.Builder
		for _, f := range fields {
			switch f[0] {
			case ":method":
				line = f[1] + " "
			case ":path":
				line += f[1] + " HTTP/1.1\r\n"
			case ":authority":
				host = f[1]
			case ":scheme":
			default:
				rest.WriteString(f[0] + ": " + f[1] + "\r\n")
			}
		}
		if _, err := io.WriteString(conn, line+"Host: "+host+"\r\n"+rest.String()+"Connection: close\r\n\r\n"); err != nil {
			return reply{} // answered and closed while it was sent
		}
		got, err := readReplyFrom(bufio.NewReader(conn), http.MethodGet)
		if err != nil {
			return reply{}
		}
		return got
	}
}

// speakHTTP2 keeps one connection until the server ends it.
func speakHTTP2(addr string) speaker {
	var conn *tls.Conn
	var framer *http2.Framer
	var next uint32
	return func(t *testing.T, fields rawFields) reply {
		t.Helper()
		if conn == nil {
			conn, next = dialTLS(t, addr, "h2"), 1
			dialed := conn
			t.Cleanup(func() { dialed.Close() })
			framer = http2.NewFramer(conn, conn)
			framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
				t.Fatal(err)
			}
			if err := framer.WriteSettings(); err != nil {
				t.Fatal(err)
			}
		}
		if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
			t.Fatal(err)
		}
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		encoder.SetMaxDynamicTableSize(0) // one encoder a request: no state may be left in the other side's table
		for _, f := range fields {
			if err := encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				t.Fatal(err)
			}
		}
		stream := next
		next += 2
		err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		var got reply
		if err == nil {
			got, err = readHTTP2(framer, stream)
		}
		if errors.Is(err, errStreamReset) {
			return reply{}
		}
		if err != nil { // the server ended the connection; the next request gets another
			conn.Close()
			conn = nil
			return reply{}
		}
		return got
	}
}

var errStreamReset = errors.New("the stream was reset")

// readHTTP2 reads the answer on one stream.
func readHTTP2(framer *http2.Framer, stream uint32) (reply, error) {
	got := reply{header: make(http.Header)}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return reply{}, err
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return reply{}, err
				}
			}
		case *http2.PingFrame:
			if err := framer.WritePing(true, frame.Data); err != nil {
				return reply{}, err
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return reply{}, fmt.Errorf("the server says %v", frame.ErrCode)
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return reply{}, errStreamReset
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == stream {
				for _, f := range frame.Fields {
					got.add(f.Name, f.Value)
				}
				ended = frame.StreamEnded()
			}
		case *http2.DataFrame:
			if frame.StreamID == stream {
				got.body += string(frame.Data())
				ended = frame.StreamEnded()
			}
			if n := uint32(len(frame.Data())); n > 0 {
				if err := framer.WriteWindowUpdate(0, n); err != nil {
					return reply{}, err
				}
			}
		}
		if ended {
			return got, nil
		}
	}
}

// add takes a field of an answer.
func (r *reply) add(name, value string) {
	if name != ":status" {
		r.header.Add(name, value)
	} else if status, err := strconv.Atoi(value); err == nil {
		r.status = status
	}
}

// The frame and stream types of RFC 9114 that are needed.
const (
	h3Data          = 0x0
	h3Headers       = 0x1
	h3Settings      = 0x4
	h3ControlStream = 0x0
)

// speakHTTP3 keeps one connection until the server ends it.
func speakHTTP3(addr string) speaker {
	var conn *quic.Conn
	return func(t *testing.T, fields rawFields) reply {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), askTimeout)
		defer cancel()
		if conn == nil {
			var err error
			if conn, err = quic.DialAddr(ctx, addr, testTLS("h3"), &quic.Config{MaxIdleTimeout: askTimeout}); err != nil {
				t.Fatal(err)
			}
			dialed := conn
			t.Cleanup(func() { _ = dialed.CloseWithError(0x100, "") })
			control, err := conn.OpenUniStream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := control.Write([]byte{h3ControlStream, h3Settings, 0}); err != nil {
				t.Fatal(err)
			}
		}
		var block bytes.Buffer
		encoder := qpack.NewEncoder(&block)
		for _, f := range fields {
			if err := encoder.WriteField(qpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := askHTTP3(ctx, conn, block.Bytes())
		if err == nil {
			return got
		}
		if _, reset := errors.AsType[*quic.StreamError](err); !reset {
			_ = conn.CloseWithError(0x100, "")
			conn = nil
		}
		return reply{}
	}
}

func askHTTP3(ctx context.Context, conn *quic.Conn, block []byte) (reply, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return reply{}, err
	}
	deadline, _ := ctx.Deadline()
	if err := stream.SetDeadline(deadline); err != nil {
		return reply{}, err
	}
	frame := quicvarint.Append([]byte{h3Headers}, uint64(len(block)))
	// A server may answer and ask to send no more before the end of the stream went out (RFC 9114, section 4.1): the
	// answer is still to be read then, so that reading alone tells whether there is one.
	if _, err := stream.Write(append(frame, block...)); err == nil {
		_ = stream.Close()
	}
	got := reply{header: make(http.Header)}
	for r := bufio.NewReader(stream); ; {
		kind, err := quicvarint.Read(r)
		if errors.Is(err, io.EOF) && got.status != 0 {
			return got, nil
		}
		if err != nil {
			return reply{}, err
		}
		size, err := quicvarint.Read(r)
		if err != nil {
			return reply{}, err
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(r, payload); err != nil {
			return reply{}, err
		}
		switch kind {
		case h3Data:
			got.body += string(payload)
		case h3Headers:
			next := qpack.NewDecoder().Decode(payload)
			for field, err := next(); err == nil; field, err = next() {
				got.add(field.Name, field.Value)
			}
		}
	}
}

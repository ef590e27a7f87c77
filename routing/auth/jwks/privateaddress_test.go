package jwks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// The addresses that a tenant's jwks_url may lead to, and those that it may not, in every form they can be written in.
func TestAddressesOfTheInternet(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "93.184.216.34": true, "172.15.255.255": true, "172.32.0.0": true, "100.63.255.255": true,
		"100.128.0.0": true, "169.253.255.255": true, "192.167.255.255": true, "11.0.0.0": true, "223.255.255.255": true,
		"2606:4700:4700::1111": true, "2a00:1450:4001::1": true, "2001:4860:4860::8888": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "10.255.255.255": false, "127.0.0.1": false, "127.255.255.254": false,
		"100.64.0.1": false, "100.100.100.200": false, "100.127.255.255": false, "169.254.0.1": false, "169.254.169.254": false,
		"169.254.170.2": false, "168.63.129.16": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.192": false, "192.0.2.1": false,
		"192.88.99.1": false, "192.168.0.1": false, "198.18.0.1": false, "198.19.255.255": false, "198.51.100.1": false, "203.0.113.1": false,
		"224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "fec0::1": false,
		"ff02::1": false, "2001:db8::1": false, "100::1": false, "2001::1": false,

		// an IPv4 address inside: mapped, compatible, NAT64, 6to4
		"::ffff:8.8.8.8": true, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false,
		"::127.0.0.1": false, "::10.0.0.1": false, "64:ff9b::8.8.8.8": true, "64:ff9b::127.0.0.1": false, "64:ff9b::10.0.0.1": false,
		"64:ff9b::169.254.169.254": false, "64:ff9b:1::1": false, "2002:808:808::1": true, "2002:7f00:1::1": false, "2002:a00:1::1": false,
		"2002:a9fe:a9fe::1": false,
	} {
		if got := onInternet(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: of the internet: %v, want %v", text, got, want)
		}
	}
}

// Whatever way leads there, a URL that a tenant wrote reaches no server of this machine. The same URL of the operator does.
func TestPublicURLReachesNoPrivateAddress(t *testing.T) {
	var reached atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		w.Write([]byte(set(ec("a"))))
	}))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1", "2130706433", "0x7f.0.0.1", "localhost."} {
		f, err := NewPublicURL("http://" + host + ":" + port + "/keys")
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Fetch(t.Context())
		if err == nil || reached.Load() != 0 {
			t.Fatalf("%s: reached %d times, %v", host, reached.Load(), err)
		}
		if strings.Contains(host, ".0.0") && !errors.Is(err, errPrivateAddress) && host != "0x7f.0.0.1" {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := must(NewURL(server.URL)).Fetch(t.Context()); err != nil || reached.Load() != 1 {
		t.Errorf("of the operator: %v", err)
	}
	pool := NewPool(PoolConfig{})
	if pool.Get(must(NewURL(server.URL))) == pool.Get(must(NewPublicURL(server.URL))) {
		t.Error("a set that tenants may not read is shared with them")
	}
}

// A name that is public when somebody looks and private when it is dialed does not help: what is dialed is judged.
func TestRebindingIsJudgedAtTheDial(t *testing.T) {
	var reached atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	names := startNames(t, [4]byte{127, 0, 0, 1})
	guard := guardedDial(net.Dialer{Resolver: names})
	f, err := newURL("http://rebinding.example:"+port+"/keys", guard)
	if err != nil {
		t.Fatal(err)
	}
	if addrs, err := names.LookupHost(t.Context(), "rebinding.example"); err != nil || fmt.Sprint(addrs) != "[127.0.0.1]" {
		t.Fatalf("the names of this test: %v, %v", addrs, err)
	}
	if _, err := f.Fetch(t.Context()); !errors.Is(err, errPrivateAddress) || reached.Load() != 0 {
		t.Errorf("%v, reached %d times", err, reached.Load())
	}
	// So does what a redirect leads to, of which each hop is a dial of its own.
	if _, err := guard(t.Context(), "tcp", "rebinding.example:"+port); !errors.Is(err, errPrivateAddress) {
		t.Error(err)
	}
}

// startNames is a resolver for which every name has the one IPv4 address.
func startNames(t *testing.T, address [4]byte) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerName(buf[:n], address); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answerName answers one question of DNS (RFC 1035, 4.1): the address to type A, nothing to others.
func answerName(query []byte, address [4]byte) []byte {
	const head = 12
	end := head
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > len(query) {
		return nil
	}
	answer := append([]byte(nil), query[:end]...)
	answer[2], answer[3] = 0x81, 0x80 // an answer, recursion available
	copy(answer[6:head], make([]byte, 6))
	if binary.BigEndian.Uint16(query[end-4:]) != 1 {
		return answer
	}
	answer[7] = 1                                                     // answers
	answer = append(answer, 0xc0, head, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // the name asked for, A, IN, no time to live
	return append(answer, address[:]...)
}

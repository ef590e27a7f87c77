//go:build e2e

package quota

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// timeReply is what Redis answers to TIME.
var timeReply = regexp.MustCompile(`\*2\r\n\$10\r\n(\d{10})\r\n\$[1-6]\r\n\d{1,6}\r\n`)

// otherClock returns a proxy to a Redis whose clock is ahead by so many seconds.
func otherClock(t *testing.T, target string, ahead *atomic.Int64) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(server, client)
				server.Close()
			}()
			go func() {
				defer client.Close()
				answer := make([]byte, 64<<10)
				for {
					n, err := server.Read(answer)
					changed := timeReply.ReplaceAllFunc(answer[:n], func(reply []byte) []byte {
						seconds, _ := strconv.ParseInt(string(reply[9:19]), 10, 64)
						return bytes.Replace(reply, reply[9:19], strconv.AppendInt(nil, seconds+ahead.Load(), 10), 1)
					})
					if _, failed := client.Write(changed); failed != nil || err != nil {
						return
					}
				}
			}()
		}
	}()
	return "redis://" + l.Addr().String()
}

// eventually waits until something holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick, deadline := time.NewTicker(50*time.Millisecond), time.After(40*time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain")
		}
	}
}

// The billing clock is that of Redis, however far that is away; it never goes back.
func TestBillingClockFollowsRedis(t *testing.T) {
	server, ahead := redistest.Single(t), new(atomic.Int64)
	ahead.Store(9)
	config, err := redisconn.Parse(otherClock(t, server.Address, ahead))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := redisconn.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ledger, err := metering.Open(metering.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	mirror := metering.OpenMirror(ledger, conn, metering.Hooks{Trouble: func(err error) {
		if err != nil {
			t.Error(err)
		}
	}})
	near := func(d, want time.Duration) bool { return (d - want).Abs() < time.Second }
	eventually(t, func() bool { return near(time.Until(ledger.Now()), 9*time.Second) })
	before := ledger.Now()
	ahead.Store(3600)
	eventually(t, func() bool { return mirror.ClockOffset() > time.Minute })
	if now := ledger.Now(); now.Before(before) || !near(time.Until(now), time.Hour) {
		t.Errorf("a clock that is an hour ahead is not followed, or the billing clock goes back: %s after %s", now, before)
	}
	before = ledger.Now()
	ahead.Store(0)
	eventually(t, func() bool { return mirror.ClockOffset() < time.Minute })
	if now := ledger.Now(); now.Before(before) || now.Sub(before) > 10*time.Second {
		t.Errorf("a clock that is set back by an hour: %s after %s", now, before)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := mirror.Close(ctx); err != nil {
		t.Error(err)
	}
}

package usage

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/redisconn"
)

// leaderText keeps in a hash who sends to a service, and until when. It is who had
// it last, or anybody after that.
//
//go:embed leader.lua
var leaderText string

var leaderScript = redisconn.NewScript(leaderText)

// leadersKey is the hash of who sends to which service.
const leadersKey = "gw:exporters"

// LeaderFor is for how long a gateway that is not heard of goes on being the one
// that sends.
const LeaderFor = 5 * time.Minute

// ErrNotLeader says that another gateway sends to a service.
var ErrNotLeader = errors.New("another gateway that shares the store sends")

// Lead makes a gateway the one that sends to a service, unless another is:
// ErrNotLeader then.
func Lead(ctx context.Context, conn *redisconn.Conn, service, gateway string) error {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	reply, err := conn.Run(ctx, leaderScript, leadersKey, service, gateway, int(LeaderFor/time.Second))
	if err != nil {
		return err
	}
	if holder, _ := reply.(string); holder != gateway {
		return fmt.Errorf("%w: %s", ErrNotLeader, strings.ToValidUTF8(holder, "?"))
	}
	return nil
}

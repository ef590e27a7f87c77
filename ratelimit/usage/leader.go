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

// leaderText is a script that keeps in a hash which gateway sends to a service, and
// until when. The leader can extend its time; others take over when it has ended.
//
//go:embed leader.lua
var leaderText string

var leaderScript = redisconn.NewScript(leaderText)

// leadersKey is the hash with the leader of each service.
const leadersKey = "gw:exporters"

// LeaderFor is how long a gateway stays the leader after its last call of Lead.
const LeaderFor = 5 * time.Minute

// ErrNotLeader says that another gateway is the leader of a service.
var ErrNotLeader = errors.New("another gateway that shares the store sends")

// Lead makes a gateway the leader of a service for LeaderFor: the only one that
// sends to it. It returns ErrNotLeader if another gateway is the leader.
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

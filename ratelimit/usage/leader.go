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

// leaveText is a script that gives up the turn of a gateway.
//
//go:embed leave.lua
var leaveText string

var leaderScript, leaveScript = redisconn.NewScript(leaderText), redisconn.NewScript(leaveText)

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

// Leave gives up a gateway's turn to send to a service, if it has it, so that another
// gateway need not wait for LeaderFor.
func Leave(ctx context.Context, conn *redisconn.Conn, service, gateway string) error {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	_, err := conn.Run(ctx, leaveScript, leadersKey, service, gateway)
	return err
}

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

// turnText keeps in a hash who sends to a service, and until when. It is who had
// it last, or anybody after that.
//
//go:embed turn.lua
var turnText string

var turnScript = redisconn.NewScript(turnText)

// turnsKey is the hash of who sends to which service.
const turnsKey = "gw:exporters"

// TurnFor is for how long a gateway that is not heard of goes on being the one
// that sends.
const TurnFor = 5 * time.Minute

// ErrNotTurn says that another gateway sends to a service.
var ErrNotTurn = errors.New("another gateway that shares the store sends")

// Turn makes a gateway the one that sends to a service, unless another is:
// ErrNotTurn then.
func Turn(ctx context.Context, conn *redisconn.Conn, service, gateway string) error {
	ctx, cancel := context.WithTimeout(ctx, pagesWait)
	defer cancel()
	reply, err := conn.Run(ctx, turnScript, turnsKey, service, gateway, int(TurnFor/time.Second))
	if err != nil {
		return err
	}
	if holder, _ := reply.(string); holder != gateway {
		return fmt.Errorf("%w: %s", ErrNotTurn, strings.ToValidUTF8(holder, "?"))
	}
	return nil
}

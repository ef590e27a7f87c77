package quota

import (
	"context"
	"errors"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// ErrUnavailable says that nobody can be asked whether something is left.
var ErrUnavailable = errors.New("the authority over quotas is away")

// Authority grants units of quotas. Grants are cumulative over a period, so a
// claim that is made twice, late or out of order grants nothing twice. It is
// safe for concurrent use, and bounds the time of its calls itself.
type Authority interface {
	// Claim settles what a holder has. The error is ErrUnavailable, or wraps it;
	// then the claim may have been settled or not.
	Claim(ctx context.Context, c Claim) (Answer, error)

	// SetOverride puts a limit in force in place of the configured one for an
	// organization, in this and all later periods; nil removes it.
	SetOverride(ctx context.Context, organization string, limit *int64) error

	// Overrides returns the limits that SetOverride set, by organization; nil if
	// none ever were, or all were lost.
	Overrides(ctx context.Context) (map[string]int64, error)
}

// EpochAuthority is an Authority that may lose grants it has made: its server is
// replaced by a replica that lags behind, or set back to an old copy. Each such
// loss begins another epoch, in which no grants are made until all holders have
// said what they hold. Organizations are divided into shards, each of which has
// epochs of its own.
type EpochAuthority interface {
	Authority

	// Shards returns the number of shards.
	Shards() int

	// Shard returns the shard of an organization, from 0.
	Shard(organization string) int

	// Join says that a holder has claimed all that it holds in a shard; until then
	// it is granted nothing. settledIn is the epoch in which it claimed, "" if it
	// holds nothing. In another epoch Join is an error and changes nothing.
	Join(ctx context.Context, holder string, shard int, settledIn string) (epoch string, err error)

	// Leave says that a holder holds nothing but what it has used, and will claim no
	// more: nobody waits for it in the next epoch. settledIn is as in Join.
	Leave(ctx context.Context, holder string, shard int, settledIn string) error

	// Poll returns the epoch of a shard, and for each of the holder's claims whether
	// another holder reclaims what is not used.
	Poll(ctx context.Context, holder string, shard int, claims []Claim) (epoch string, reclaim []bool, err error)
}

// HoldingsAuthority is an Authority that can list what a holder holds, in all
// periods that it knows of: as claims of just that.
type HoldingsAuthority interface {
	Authority

	HeldBy(ctx context.Context, holder string) ([]Claim, error)
}

// Claim is what a holder of grants says and asks.
type Claim struct {
	Holder       string // the instance of the ledger
	Organization string
	Period       metering.Period
	Limit        int64 // of the period, as configured
	// Number orders the claims of a holder: one that arrives after a later one
	// changes nothing.
	Number uint64
	// Holds is how many units it has: what it was granted or used without, less what
	// it gives back. It is the holder who knows: an authority that says otherwise has
	// lost something, or granted what did not arrive.
	Holds int64
	// Wants is how many it would like to have in all; what it gets may be less. No
	// more than Holds: none.
	Wants int64
	// Starved says that it has none left.
	Starved bool
}

// Answer is how things are after a claim.
type Answer struct {
	Granted int64 // what the holder has in all
	Total   int64 // what all holders have
	Limit   int64 // in force
	// Since is when the first claim of a holder that starved got nothing; zero
	// while something is left.
	Since time.Time
	// Reclaim says that another holder has nothing left: what is not used should go
	// back.
	Reclaim bool
	// Epoch changes when grants may have been lost: a number that grows, a colon and
	// whatever tells epochs apart. "": they never are.
	Epoch string
	// Recovering says that no grants are made until all holders have said what they
	// have.
	Recovering bool
}

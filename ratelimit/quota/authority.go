package quota

import (
	"context"
	"errors"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// ErrUnavailable says that the authority cannot be asked whether anything is left.
var ErrUnavailable = errors.New("the authority over quotas is away")

// Authority grants units of quotas to holders. A holder is one process with its
// ledger, named by Ledger.Instance. A claim reports the sum that a holder has in a
// period, and the answer is a sum again: a claim that arrives twice, late or out of
// order grants nothing twice. An Authority is safe for concurrent use, and bounds
// the time of its calls itself.
type Authority interface {
	// Claim reports what a holder has, and asks for more. The error is
	// ErrUnavailable, or wraps it; then the claim may have been settled or not.
	Claim(ctx context.Context, c Claim) (Answer, error)

	// SetOverride puts an override of an organization in force, in this and all later
	// periods, if it has a higher version than the one that the authority has. The error
	// is ErrUnavailable, or wraps it; then it may have been done, or half of it.
	SetOverride(ctx context.Context, organization string, o Override) error

	// Overrides returns what SetOverride set, by organization; nil if nothing ever was,
	// or all was lost. The error is ErrUnavailable, or wraps it.
	Overrides(ctx context.Context) (map[string]Override, error)
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
	// holds nothing. In another epoch Join is an error and joins nothing; a server that
	// has lost a later epoch, of which this process knows, begins one that is later still.
	Join(ctx context.Context, holder string, shard int, settledIn string) (epoch string, err error)

	// Leave says that a holder holds nothing but what it has used, and will claim no
	// more: nobody waits for it in the next epoch. settledIn is as in Join.
	Leave(ctx context.Context, holder string, shard int, settledIn string) error

	// Poll returns what is new in a shard. It reads only.
	Poll(ctx context.Context, inquiry Inquiry) (News, error)

	// Grants returns what all holders hold in a shard, in all windows. It reads only.
	Grants(ctx context.Context, shard int) (News, error)

	// Known reports whether the process before this one had the same authority.
	Known() bool
}

// Inquiry is a question of a holder to an EpochAuthority.
type Inquiry struct {
	Holder  string
	Shard   int
	Windows []Claim  // of which organization and period count
	Peers   []string // other holders
}

// News is what an EpochAuthority says of a shard.
type News struct {
	Epoch   string // "" if nobody has claimed since its server started
	Members int    // holders that have joined and not left
	Windows []WindowNews
}

// WindowNews is what an EpochAuthority says of an organization in a period.
type WindowNews struct {
	Organization, Period string           // the period's ID
	Reclaim              bool             // another holder is starved, and reclaims what is not used
	Grants               map[string]Grant // by holder
	Total                int64            // units granted to all, from Poll
	Grace                Grace            // from Grants with the age of the last claim, which may be less than now
}

// Grant is what a holder was granted by its latest claim.
type Grant struct {
	Holds  int64  `json:"holds"`
	Number uint64 `json:"number"`
}

// HoldingsAuthority is an Authority that can list what a holder holds.
type HoldingsAuthority interface {
	Authority

	// HeldBy returns a claim for each organization and period of which the holder has
	// units: Holds is how many, Number that of its latest claim. Of the period it has
	// the ID alone.
	HeldBy(ctx context.Context, holder string) ([]Claim, error)
}

// Claim reports what a holder has of an organization's quota, and asks for more.
type Claim struct {
	Holder       string // the instance of the ledger
	Organization string
	Period       metering.Period
	Limit        int64 // of the period, as configured; an override takes its place
	// Number orders the claims of a holder: one that arrives after a later one
	// changes nothing.
	Number uint64
	// Holds is how many units the holder has in all: granted or used without a
	// grant, less what it gives back. The authority takes it over: if it had another
	// number, it lost a claim, or its last answer was lost.
	Holds int64
	// Wants is how many units the holder would like to have in all. The authority may
	// grant less; it grants nothing if Wants is at most Holds.
	Wants int64
	// Starved says that the holder has no unit left, and a request waits for one.
	Starved bool
	// Grace is the grace that the holder knows of. An authority that lost it, or whose
	// clock was set back, takes it over.
	Grace Grace
}

// Grace is the time since a quota was first found used up. A period has one for each
// limit: only under a higher limit does another one begin. It is an age, so that
// nobody compares the clocks of two machines.
type Grace struct {
	ID    string        // tells it from others of its period; "" if none began
	Limit int64         // in force when it began
	Age   time.Duration // since it began
}

// graceSlack is by how much a holder's age of a grace must be higher for an authority
// to take it over: more than a call takes, which is all that they differ by while no
// clock is set.
const graceSlack = time.Second

// Answer is the state of an organization's quota after a claim.
type Answer struct {
	Granted int64 // units that the holder has in all
	Total   int64 // units that all holders have
	Limit   int64 // in force
	// Exhausted says that a starved holder got nothing, and that nothing is left since.
	Exhausted bool
	// Grace is of when the quota was first found used up, under this limit or an
	// earlier, higher one.
	Grace Grace
	// Number is that of the holder's latest claim. If it is above this claim's, this
	// one changed nothing.
	Number uint64
	// Reclaim asks the holder to give back what it does not use: another one is
	// starved.
	Reclaim bool
	// Epoch changes when grants may have been lost: a growing number, a colon, and an
	// identifier of the server. "" says that this authority loses none.
	Epoch string
	// Recovering says that the holder is granted nothing, although something may be
	// left, until all holders have joined the epoch, or were waited for, and it is a
	// member for a while.
	Recovering bool
	// Outside says that the holder has not joined the epoch, or that somebody had it
	// leave: its units were released while it stood still.
	Outside bool
}

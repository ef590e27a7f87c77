package routing

import (
	"errors"
	"time"

	"github.com/edgegate/edgegate/routing/projects"
)

// Usage applies quotas, rate limits and caps on requests in flight to one request
// (contract 7.3, 7.5).
type Usage interface {
	// Restricted returns how long the organization's invocations will be refused, 0
	// if they are not. It takes nothing.
	Restricted(*projects.Organization) time.Duration

	// LimitClient takes a token of each rate limit of the client's address. It is
	// called before keys and tokens are checked (contract 9.8), and its tokens are
	// not given back if these are refused. If one has none left it takes none, and
	// returns the time until there is one.
	LimitClient(*Invocation) time.Duration

	// Limit takes a token of each other rate limit of the invocation. If one has none
	// left it takes none, and returns the time until there is one.
	Limit(*Invocation) time.Duration

	// Enter takes a place within each cap on requests in flight (contract 9.6), until
	// the request ends. If a cap has none left it takes none, and returns the scope
	// of that cap; else "".
	Enter(*Invocation) (scope string)

	// Take takes one unit of the organization's quota. The error is ErrRestricted if
	// there is none, another one if that cannot be found out.
	Take(*projects.Organization) error
}

// ErrRestricted is the error of Usage.Take when the quota is used up.
var ErrRestricted = errors.New("quota used up")

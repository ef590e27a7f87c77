package quota

import (
	"context"
	"errors"
	"testing"
)

// failing is an authority that does not answer.
type failing struct {
	Authority
	err error
}

func (f failing) Claim(context.Context, Claim) (Answer, error) { return Answer{}, f.err }

// A call that is refused while the authority is away has the cause of the last claim that was made, also if it comes before the
// next one is due.
func TestCauseWhileAway(t *testing.T) {
	cause := errors.New("read tcp: i/o timeout")
	g := openGateway(t, t.TempDir(), newClock(), Allowance{Quota: 10, Hard: true})
	defer g.close()
	g.SetAuthority(t.Context(), failing{Authority: *g.authority.Load(), err: cause})
	for i := range 5 {
		if _, err := g.take(); !errors.Is(err, cause) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

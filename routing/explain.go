package routing

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// Explanation is what would become of a request, and why: the plan of the
// same code that serves requests. Members that this build does not measure
// are null.
type Explanation struct {
	Mode       string             `json:"mode"`
	Chosen     string             `json:"chosen"` // "" when no region would accept
	Reason     regions.Reason     `json:"reason"`
	Client     ExplainedClient    `json:"client"`
	Candidates []ExplainedOutcome `json:"candidates"`
}

// ExplainedClient is what is known of the caller's place.
type ExplainedClient struct {
	Country *string `json:"country"`
	Source  string  `json:"source"`
}

// ExplainedOutcome is one region and why it was or was not chosen.
type ExplainedOutcome struct {
	Region string        `json:"region"`
	RTT    *float64      `json:"rtt_ms"` // expected round trip from the gateway
	Base   *float64      `json:"base_ms"`
	Fast   *float64      `json:"fast_ms"`
	Health regions.State `json:"health"`
	Load   *float64      `json:"load"`
	State  regions.State `json:"state"`
	Score  *float64      `json:"score"` // rtt_ms plus bias; lower is better
	Share  float64       `json:"share"` // of such requests, 0 to 1
	Why    string        `json:"why"`
}

// Explain tells where a request that names the regions of hint would run. The
// error is what the client would be told.
func (p *Pipeline) Explain(from regions.Place, hint string) (*Explanation, error) {
	parsed, err := regions.ParseHint([]string{hint}, "")
	if err != nil {
		return nil, errors.New(p.planner.invalid(err.Error(), nil).Message)
	}
	plan, refusal := p.planner.plan(parsed, nil)
	if refusal != nil {
		return nil, errors.New(refusal.Message)
	}
	e := &Explanation{Mode: "gateway", Client: ExplainedClient{Source: "unknown"}}
	ranked, known := p.network.Set.Order(from)
	for i := range plan.Candidates {
		c := &plan.Candidates[i]
		e.add(p.outcome(c, ranked, known, e.Chosen != ""))
		if o := &e.Candidates[i]; e.Chosen == "" && o.State != regions.StateDown {
			e.Chosen, o.Share = c.Region.Name, 1
			if e.Reason = c.Reason; i > 0 && c.Reason != regions.ReasonExplicitList {
				e.Reason = regions.ReasonFailover
			}
			o.Why = "chosen: " + string(e.Reason)
		}
	}
	for _, r := range ranked {
		if !slices.ContainsFunc(e.Candidates, func(o ExplainedOutcome) bool { return o.Region == r.Region.Name }) {
			o := p.outcome(&regions.Candidate{Region: r.Region}, ranked, known, true)
			o.Why = "not named by the request"
			e.add(o)
		}
	}
	if e.Chosen == "" {
		e.Reason = plan.Candidates[0].Reason
		if !plan.Strict {
			e.Reason = regions.ReasonFailOpen
		}
	}
	return e, nil
}

func (e *Explanation) add(o ExplainedOutcome) { e.Candidates = append(e.Candidates, o) }

func (p *Pipeline) outcome(c *regions.Candidate, ranked []regions.Ranked, known, taken bool) ExplainedOutcome {
	state, _ := p.network.State(c.Region)
	o := ExplainedOutcome{Region: c.Region.Name, Health: state, State: state}
	if known {
		i := slices.IndexFunc(ranked, func(r regions.Ranked) bool { return r.Region == c.Region })
		o.RTT, o.Score = milliseconds(ranked[i].Prior), milliseconds(ranked[i].Score)
	}
	switch {
	case state == regions.StateDown:
		o.Why = "down: no backend accepts connections"
	case taken && known && o.Score != nil:
		o.Why = fmt.Sprintf("a better one is there (score %.1f)", *o.Score)
	case taken:
		o.Why = "a better one is there"
	}
	return o
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

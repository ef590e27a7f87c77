package billing

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// lineIDs matches the ids of line items.
var lineIDs = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Proof reads the logs of this process again for the records that a line item is made
// of. Of other gateways it has the sums in Redis. The case of lineID does not matter.
func (e *Engine) Proof(ctx context.Context, lineID string) (ProofAnswer, error) {
	id := strings.ToLower(lineID)
	if !lineIDs.MatchString(id) {
		return ProofAnswer{}, fmt.Errorf("line %q: must be the line_id of an export, 32 hex digits", id)
	}
	o, catalogue, err := e.inForce()
	if err != nil {
		return ProofAnswer{}, err
	}
	since, err := o.ledger.Last()
	if err != nil {
		return ProofAnswer{}, err
	}
	if _, err := e.Update(ctx); err != nil {
		return ProofAnswer{}, err
	}
	line, found, err := o.lines.Find(id)
	if err != nil {
		return ProofAnswer{}, err
	}
	if !found {
		return ProofAnswer{}, fmt.Errorf("line %s: this gateway has no such line; is it of another store?", id)
	}
	part := metering.Part{
		Organization: line.AccountID,
		Project:      line.ProjectID,
		Function:     line.FunctionID,
		Region:       line.Region,
		Period:       line.Period,
		Start:        line.WindowStart,
		Origin:       line.Key.Origin,
	}
	has := make(map[string]metering.Sums, len(line.Sources))
	for _, s := range line.Sources {
		has[s.Instance] = sumsOf(s)
	}
	proofs, err := o.ledger.Prove(part, since, has)
	if err != nil {
		return ProofAnswer{}, err
	}
	answer := ProofAnswer{
		Line:    line.Line,
		Price:   ProofPrice{Package: max(0, line.Price.Package), Price: usage.Decimal(max(0, line.Price.Minor), line.Currency)},
		Intact:  line.Intact(),
		Sources: []ProofSource{},
	}
	answer.OK = answer.Intact
	answer.addHere(proofs, has)
	if len(has) == 0 {
		return answer, nil
	}
	redis, err := o.sumsInRedis(ctx, &part, cyclesOf(catalogue))
	if err != nil {
		return ProofAnswer{}, err
	}
	for _, s := range line.Sources {
		if known, left := has[s.Instance]; left {
			answer.Sources = append(answer.Sources, ProofSource{Gateway: s.Instance, Line: proofSumsOf(&known), Redis: redis[s.Instance]})
		}
	}
	return answer, nil
}

// addHere adds the logs of this process, and removes them from what the line item has
// by log.
func (a *ProofAnswer) addHere(proofs []metering.Proof, has map[string]metering.Sums) {
	for i := range proofs {
		p := &proofs[i]
		known, listed := has[p.Instance]
		delete(has, p.Instance)
		if !listed && p.Last == 0 && p.Damage == nil {
			continue
		}
		matches := p.Damage == nil && p.Same(known)
		a.OK = a.OK && matches
		a.Sources = append(a.Sources, ProofSource{
			Gateway: p.Instance,
			Line:    proofSumsOf(&known),
			Here:    true,
			Records: proofRecordsOf(p),
			Matches: &matches,
		})
	}
}

// sumsInRedis returns the sums of a line item that other gateways have in Redis, by
// gateway.
func (o *opened) sumsInRedis(ctx context.Context, part *metering.Part, cycles Cycles) (map[string]*ProofSums, error) {
	s := o.shared.Load()
	if s == nil {
		return nil, nil
	}
	others, err := s.peers.PeerSums(ctx, part.Organization)
	if err != nil {
		return nil, fmt.Errorf("reading what other gateways used: %w", err)
	}
	by := make(map[string]*ProofSums)
	for i := range others {
		e := &others[i]
		if e.Span != metering.Hourly || e.Subject.Project != part.Project || e.Subject.Function != part.Function || e.Region != part.Region {
			continue
		}
		hour, period, err := e.Hour(cycles[part.Organization])
		if err != nil {
			return nil, err
		}
		if hour.Start.Equal(part.Start) && period.ID == part.Period && e.Origin == part.Origin {
			sums := proofSumsOf(&e.Sums)
			by[e.Instance] = &sums
		}
	}
	return by, nil
}

// sumsOf returns what a line item has of one log.
func sumsOf(s usage.Source) metering.Sums {
	return metering.Sums{
		Invocations: uint64(s.Invocations),
		Completed:   uint64(s.Completed),
		Voided:      uint64(s.Voided),
		Added:       uint64(s.Added),
		Deducted:    uint64(s.Deducted),
	}
}

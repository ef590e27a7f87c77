package gateway

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/edgegate/edgegate/ratelimit/billing"
	"github.com/edgegate/edgegate/ratelimit/metering"
	"github.com/edgegate/edgegate/ratelimit/usage"
)

// proofAnswer is what `edgegate usage proof` shows.
type proofAnswer struct {
	Line    usage.Line    `json:"line"`
	Intact  bool          `json:"intact"` // its sha256 is that of its columns
	Sources []proofSource `json:"sources"`
	OK      bool          `json:"ok"` // all that could be checked here is right
}

// proofSource is what one ledger has of a line, and the records behind it.
type proofSource struct {
	Gateway string    `json:"gateway"`
	Line    proofSums `json:"line"`
	// Here is false for the ledger of another gateway: the records are there, Redis
	// has their sums at best.
	Here    bool          `json:"here"`
	Redis   *proofSums    `json:"redis,omitempty"`
	Records *proofRecords `json:"records,omitempty"`
	Matches *bool         `json:"matches,omitempty"` // the records make up what the line has; null: they are elsewhere
}

type proofSums struct {
	Quantity    int64 `json:"quantity"` // invocations and adjusted
	Invocations int64 `json:"invocations"`
	Completed   int64 `json:"completed"`
	Voided      int64 `json:"voided"`
	Adjusted    int64 `json:"adjusted"`
}

type proofRecords struct {
	proofSums
	First       uint64             `json:"first"` // numbers of records; 0: there are none
	Last        uint64             `json:"last"`
	Admitted    int                `json:"admitted_records"`
	Ended       int                `json:"ended_records"`
	VoidRecords int                `json:"voided_records"`
	Adjustments []adjustmentAnswer `json:"adjustments"`
	SHA256      string             `json:"sha256"` // of their 64 bytes each, in their order
	Files       []proofFile        `json:"files"`
	Read        uint64             `json:"read"` // records of the ledger
	Damage      string             `json:"damage"`
}

type proofFile struct {
	File    string `json:"file"`
	SHA256  string `json:"sha256"` // by the manifest, whose chain was verified; "" for a segment that is not archived
	Records int    `json:"records"`
}

// lineIDs are what ids of lines look like.
var lineIDs = regexp.MustCompile(`^[0-9a-f]{32}$`)

// proof tells which records a line is made of.
func (a *App) proof(r *http.Request) (any, error) {
	id := strings.ToLower(r.URL.Query().Get("line"))
	if !lineIDs.MatchString(id) {
		return nil, fmt.Errorf("line %q: must be the line_id of an export, 32 hex digits", id)
	}
	ledger := a.engine.Ledger()
	if ledger == nil {
		return nil, billing.ErrNotOpen
	}
	since, err := ledger.Last()
	if err != nil {
		return nil, err
	}
	if _, err := a.engine.Update(r.Context()); err != nil {
		return nil, err
	}
	line, sources, found, err := a.engine.Lines().Find(id)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("line %s: this gateway has no such line; is it of another store?", id)
	}
	of := metering.Part{
		Organization: line.AccountID, Project: line.ProjectID, Function: line.FunctionID, Region: line.Region, Period: line.Period, Start: line.WindowStart,
	}
	has := make(map[string]metering.Sums, len(sources))
	for _, s := range sources {
		has[s.Instance] = metering.Sums{
			Invocations: uint64(s.Invocations), Completed: uint64(s.Completed), Voided: uint64(s.Voided), Added: uint64(s.Added), Deducted: uint64(s.Deducted),
		}
	}
	proofs, err := ledger.Prove(of, since, has)
	if err != nil {
		return nil, err
	}
	answer := proofAnswer{Line: line, Intact: line.Intact(), Sources: []proofSource{}}
	answer.OK = answer.Intact
	for i := range proofs {
		p := &proofs[i]
		known, listed := has[p.Instance]
		delete(has, p.Instance)
		if !listed && p.Last == 0 && p.Damage == nil {
			continue
		}
		matches := p.Damage == nil && p.Same(known)
		answer.OK = answer.OK && matches
		answer.Sources = append(answer.Sources, proofSource{Gateway: p.Instance, Line: proofSumsOf(&known), Here: true, Records: recordsOf(p), Matches: &matches})
	}
	redis, err := a.elsewhere(r.Context(), of, len(has) > 0)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		if known, left := has[s.Instance]; left {
			answer.Sources = append(answer.Sources, proofSource{Gateway: s.Instance, Line: proofSumsOf(&known), Redis: redis[s.Instance]})
		}
	}
	return answer, nil
}

// elsewhere is what Redis has of a line, by gateway.
func (a *App) elsewhere(ctx context.Context, of metering.Part, needed bool) (map[string]*proofSums, error) {
	s := a.engine.Shared()
	if s == nil || !needed {
		return nil, nil
	}
	others, err := s.Mirror().PeerSums(ctx, of.Organization)
	if err != nil {
		return nil, fmt.Errorf("reading what other gateways used: %w", err)
	}
	cycle, by := a.engine.Cycles()[of.Organization], make(map[string]*proofSums)
	for i := range others {
		e := &others[i]
		if e.Span != metering.Hourly || e.Subject.Project != of.Project || e.Subject.Function != of.Function || e.Region != of.Region {
			continue
		}
		hour, period, err := e.Hour(cycle)
		if err != nil {
			return nil, err
		}
		if hour.Start.Equal(of.Start) && period.ID == of.Period {
			sums := proofSumsOf(&e.Sums)
			by[e.Instance] = &sums
		}
	}
	return by, nil
}

func proofSumsOf(s *metering.Sums) proofSums {
	return proofSums{
		Quantity: s.Billed(), Invocations: int64(s.Invocations), Completed: int64(s.Completed), Voided: int64(s.Voided), Adjusted: s.Adjusted(),
	}
}

func recordsOf(p *metering.Proof) *proofRecords {
	records := &proofRecords{
		proofSums: proofSumsOf(&p.Sums), First: p.First, Last: p.Last, Admitted: p.Admitted, Ended: p.Ended, VoidRecords: p.Voided,
		Adjustments: []adjustmentAnswer{}, SHA256: p.SHA256, Files: []proofFile{}, Read: p.Read,
	}
	for _, adjustment := range p.Adjustments {
		records.Adjustments = append(records.Adjustments, adjustmentOf(adjustment))
	}
	for _, f := range p.Files {
		records.Files = append(records.Files, proofFile{File: f.Name, SHA256: f.SHA256, Records: f.Records})
	}
	if p.Damage != nil {
		records.Damage = p.Damage.Error()
	}
	return records
}

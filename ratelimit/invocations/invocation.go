package invocations

import (
	"net/http"
	"time"

	"github.com/edgegate/edgegate/ratelimit/metering"
)

// Invocation is an invocation, or a request that was refused. The names are those of the
// invocation log. What is not known is null: of invocations, what the ledger does not
// record; of refused requests, what comes with a region; of an invocation that runs, or
// whose gateway stopped first, how it ended.
type Invocation struct {
	Timestamp       int64    `json:"timestamp"` // when it was admitted or refused, in Unix microseconds
	Gateway         string   `json:"gateway"`   // the id of the instance log
	ProjectRef      *string  `json:"project_ref"`
	Function        *string  `json:"function"` // its slug
	Region          *string  `json:"region"`
	RegionReason    *string  `json:"region_reason"`
	Status          *int     `json:"status"`
	Outcome         *string  `json:"outcome"`
	Cut             *bool    `json:"cut"` // the answer broke off
	ExecutionTimeMS *float64 `json:"execution_time_ms"`
	Attempts        *int     `json:"attempts"`
	BytesIn         *int64   `json:"bytes_in"`
	BytesOut        *int64   `json:"bytes_out"`
	SBRequestID     *string  `json:"sb_request_id"`
	SBErrorCode     *string  `json:"sb_error_code"`
	LedgerRecordID  *uint64  `json:"ledger_record_id"` // null: it was refused, and does not count
	// How many invocations the record is of. More than 1 only while they run that went on
	// while nothing could be recorded.
	Units uint32 `json:"units"`
}

// entry is what is kept of an invocation while others are read.
type entry struct {
	at     int64 // Unix microseconds
	log    *metering.RecordLog
	record uint64 // of the admission
	ended  bool

	subject, units              uint32
	region, status              uint16
	attempts, flags             uint8
	duration, bytesIn, bytesOut uint32
	refused                     *Refusal // instead of all of them
}

// entryOf returns the i-th record of a batch: an admission or an end.
func entryOf(log *metering.RecordLog, b *metering.Batch, i int) entry {
	e := entry{
		at:      b.At[i],
		log:     log,
		record:  b.First + uint64(i),
		subject: b.Subjects[i],
		region:  b.Regions[i],
		units:   b.Units[i],
	}
	if b.Types[i] == metering.TypeDone {
		e.ended = true
		e.record, e.status, e.attempts, e.flags = b.Refs[i], b.Statuses[i], b.Attempts[i], b.Flags[i]
		e.duration, e.bytesIn, e.bytesOut = b.Durations[i], b.BytesIn[i], b.BytesOut[i]
	}
	return e
}

// some returns a pointer to a value; nil to the zero value, which stands for none.
func some[T comparable](v T) *T {
	if v == *new(T) {
		return nil
	}
	return &v
}

// milliseconds returns a duration as JSON has it, to a microsecond.
func milliseconds(micro int64) *float64 {
	ms := float64(micro) / 1000
	return &ms
}

// invocation looks the names up.
func (e *entry) invocation() Invocation {
	if e.refused != nil {
		return e.refused.invocation()
	}
	s := e.log.Subject(e.subject)
	i := Invocation{
		Timestamp:      e.at,
		Gateway:        e.log.Instance,
		ProjectRef:     some(s.Project),
		Function:       some(s.Function),
		Region:         some(e.log.Region(e.region)),
		LedgerRecordID: &e.record,
		Units:          e.units,
	}
	if !e.ended {
		return i
	}
	status, attempts, in, out, broken := int(e.status), int(e.attempts), int64(e.bytesIn), int64(e.bytesOut), e.flags&metering.FlagCut != 0
	i.Status, i.Attempts, i.BytesIn, i.BytesOut, i.Cut = some(status), &attempts, &in, &out, &broken
	i.ExecutionTimeMS = milliseconds(int64(e.duration))
	if !broken && status >= http.StatusOK && status < http.StatusBadRequest {
		i.Outcome = some("complete") // an error may be the function's or the gateway's, and a WebSocket ends in many ways
	}
	return i
}

// invocation is the refused request as one among invocations.
func (r *Refusal) invocation() Invocation {
	zero, cut, attempts := int64(0), false, 0
	return Invocation{
		Timestamp:       r.At.UnixMicro(),
		Gateway:         r.Gateway,
		ProjectRef:      some(r.Project),
		Function:        some(r.Function),
		Region:          some(r.Region),
		Status:          some(r.Status),
		Outcome:         some("refused"),
		Cut:             &cut,
		ExecutionTimeMS: milliseconds(int64(r.Duration / time.Microsecond)),
		Attempts:        &attempts,
		BytesIn:         &zero,
		BytesOut:        &zero,
		SBRequestID:     some(r.RequestID),
		SBErrorCode:     some(r.Code),
		Units:           1,
	}
}

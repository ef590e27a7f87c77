package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/edgegate/edgegate/ratelimit/usage"
)

const (
	// EventType is the type of every event.
	EventType = "gateway.invocations.v1"
	// contentType is that of a batch in the CloudEvents 1.0 JSON format
	// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md, section 4).
	contentType = "application/cloudevents-batch+json; charset=UTF-8"
	// specVersion is the version of CloudEvents.
	specVersion = "1.0"
	// noSubject stands for an empty subject, which CloudEvents does not allow.
	noSubject = "none"
)

// event is a CloudEvent in the JSON format. Endpoints verify signatures over
// these bytes: the order of the fields must not change.
type event struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject"`
	DataContentType string    `json:"datacontenttype"`
	DataSchema      string    `json:"dataschema"`
	Time            time.Time `json:"time"`
	Data            Data      `json:"data"`
}

// Data is the payload of an event: a line, and by how much it differs from the
// revision that was sent before. An endpoint that keeps the latest revision of
// each line and one that adds up the deltas arrive at the same totals.
type Data struct {
	usage.Line
	QuantityDelta    int64 `json:"quantity_delta"`
	AmountMinorDelta int64 `json:"amount_minor_delta"`
}

// newEvent returns the event of a message.
func newEvent(m *usage.Message) (event, error) {
	source, err := url.Parse("gw://" + m.Line.LedgerID + "/" + m.Line.Region)
	if err != nil {
		return event{}, fmt.Errorf("encoding %s: %w", m.Name(), err)
	}
	e := event{
		SpecVersion:     specVersion,
		ID:              eventID(m),
		Source:          source.String(),
		Type:            EventType,
		Subject:         m.Account,
		DataContentType: "application/json",
		DataSchema:      "urn:" + m.Line.Schema,
		Time:            m.Start.UTC(),
		Data:            Data{*m.Line, m.Delta, m.Paid},
	}
	if e.Subject == "" {
		e.Subject = noSubject
	}
	return e, nil
}

// encode returns the body of a batch and its id, which is the same for the same
// messages.
func encode(messages []usage.Message) (body []byte, id string, err error) {
	events, hash := make([]event, len(messages)), sha256.New()
	for i := range messages {
		fmt.Fprintln(hash, messages[i].Name())
		if events[i], err = newEvent(&messages[i]); err != nil {
			return nil, "", err
		}
	}
	if body, err = json.Marshal(events); err != nil {
		return nil, "", fmt.Errorf("encoding a batch of events: %w", err)
	}
	return body, "msg_" + hex.EncodeToString(hash.Sum(nil))[:32], nil
}

// eventID returns the id of the event of a message.
func eventID(m *usage.Message) string { return strings.TrimPrefix(m.Name(), "gw-") }

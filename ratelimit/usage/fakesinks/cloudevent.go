package fakesinks

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// cloudEvent is an event in the CloudEvents 1.0 JSON format, as a receiver reads
// it (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md).
type cloudEvent struct {
	SpecVersion     string         `json:"specversion"`
	ID              string         `json:"id"`
	Source          string         `json:"source"`
	Type            string         `json:"type"`
	Subject         *string        `json:"subject"`
	DataContentType string         `json:"datacontenttype"`
	DataSchema      *string        `json:"dataschema"`
	Time            *string        `json:"time"`
	Data            map[string]any `json:"data"`
}

// subject returns the subject, "" where there is none.
func (e *cloudEvent) subject() string {
	if e.Subject == nil {
		return ""
	}
	return *e.Subject
}

// validate reports every attribute that breaks the specification (section 3.1).
func (e *cloudEvent) validate() error {
	var errs []error
	if e.SpecVersion != "1.0" {
		errs = append(errs, fmt.Errorf("specversion: %q is not 1.0", e.SpecVersion))
	}
	for name, value := range map[string]string{"id": e.ID, "source": e.Source, "type": e.Type} {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s: must be a non-empty string", name))
		}
	}
	if _, err := url.Parse(e.Source); err != nil {
		errs = append(errs, fmt.Errorf("source: must be a URI reference: %w", err))
	}
	if e.Subject != nil && *e.Subject == "" {
		errs = append(errs, errors.New("subject: if present, must be a non-empty string"))
	}
	if e.DataContentType != "" && e.DataContentType != "application/json" {
		errs = append(errs, fmt.Errorf("datacontenttype: %q is not application/json", e.DataContentType))
	}
	if e.DataSchema != nil {
		if u, err := url.Parse(*e.DataSchema); err != nil || !u.IsAbs() {
			errs = append(errs, fmt.Errorf("dataschema: %q is not a URI", *e.DataSchema))
		}
	}
	if e.Time != nil {
		if _, err := time.Parse(time.RFC3339, *e.Time); err != nil {
			errs = append(errs, fmt.Errorf("time: %w", err))
		}
	}
	return errors.Join(errs...)
}

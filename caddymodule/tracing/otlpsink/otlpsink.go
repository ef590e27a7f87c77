// Package otlpsink is a collector of spans for tests: it takes OTLP over HTTP
// (protobuf) and over gRPC, and checks what it gets.
package otlpsink

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Span is a span that was received. IDs are in lower-case hexadecimal.
type Span struct {
	TraceID    string
	ID         string
	Parent     string // "" for a root
	State      string // the tracestate
	Name       string
	Scope      string
	Kind       string            // "SERVER" or "CLIENT", as a rule
	Failed     bool              // its status is an error
	Attributes map[string]string // values as text
	Resource   map[string]string
	Raw        string // all of it, as JSON
}

// Sink is a collector. It is safe for concurrent use.
type Sink struct {
	collector.UnimplementedTraceServiceServer

	mu     sync.Mutex // guards the fields below
	spans  []Span
	faults []error // what was not valid in requests
}

// Spans returns what was received, in that order.
func (s *Sink) Spans() []Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Span(nil), s.spans...)
}

// Err returns what was wrong with requests, nil if nothing was.
func (s *Sink) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.faults...)
}

// ServeHTTP takes requests of OTLP over HTTP.
func (s *Sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request collector.ExportTraceServiceRequest
	if err := readRequest(r, &request); err != nil {
		s.fault(err)
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.take(&request)
	w.Header().Set("Content-Type", "application/x-protobuf")
	answer, _ := proto.Marshal(new(collector.ExportTraceServiceResponse)) // an empty one
	_, _ = w.Write(answer)
}

func readRequest(r *http.Request, into proto.Message) error {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		return fmt.Errorf("request %s %s of %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = unzipped
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return proto.Unmarshal(data, into)
}

// Export implements the service of OTLP over gRPC.
func (s *Sink) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.take(request)
	return new(collector.ExportTraceServiceResponse), nil
}

// ServeGRPC takes requests of OTLP over gRPC until the listener is closed.
func (s *Sink) ServeGRPC(listener net.Listener) *grpc.Server {
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	return server
}

func (s *Sink) fault(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, err)
}

func (s *Sink) take(request *collector.ExportTraceServiceRequest) {
	for _, ofResource := range request.ResourceSpans {
		about := values(ofResource.GetResource().GetAttributes())
		for _, ofScope := range ofResource.ScopeSpans {
			for _, span := range ofScope.Spans {
				if err := check(span); err != nil {
					s.fault(err)
				}
				s.mu.Lock()
				s.spans = append(s.spans, Span{
					TraceID:    hex.EncodeToString(span.TraceId),
					ID:         hex.EncodeToString(span.SpanId),
					Parent:     hex.EncodeToString(span.ParentSpanId),
					State:      span.TraceState,
					Name:       span.Name,
					Scope:      ofScope.GetScope().GetName(),
					Kind:       strings.TrimPrefix(span.Kind.String(), "SPAN_KIND_"),
					Failed:     span.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR,
					Attributes: values(span.Attributes),
					Resource:   about,
					Raw:        protojson.Format(span),
				})
				s.mu.Unlock()
			}
		}
	}
}

// check returns what is not valid in a span.
func check(span *otlp.Span) error {
	switch {
	case len(span.TraceId) != 16, len(span.SpanId) != 8, len(span.ParentSpanId) != 0 && len(span.ParentSpanId) != 8:
		return fmt.Errorf("span %q: the ids %x, %x, %x are too long or too short", span.Name, span.TraceId, span.SpanId, span.ParentSpanId)
	case span.Name == "":
		return fmt.Errorf("span %x: no name", span.SpanId)
	case span.StartTimeUnixNano == 0, span.EndTimeUnixNano < span.StartTimeUnixNano:
		return fmt.Errorf("span %q: from %d to %d", span.Name, span.StartTimeUnixNano, span.EndTimeUnixNano)
	case span.DroppedAttributesCount > 0:
		return fmt.Errorf("span %q: %d attributes were dropped", span.Name, span.DroppedAttributesCount)
	}
	seen := make(map[string]bool)
	for _, a := range span.Attributes {
		if seen[a.Key] {
			return fmt.Errorf("span %q: the attribute %s is there twice", span.Name, a.Key)
		}
		seen[a.Key] = true
	}
	return nil
}

func values(attributes []*common.KeyValue) map[string]string {
	texts := make(map[string]string, len(attributes))
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			texts[a.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			texts[a.Key] = fmt.Sprint(v.IntValue)
		default:
			texts[a.Key] = protojson.Format(a.Value)
		}
	}
	return texts
}

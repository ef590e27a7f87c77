// Package tracing has a span for each invocation and for each attempt to reach a
// backend, and sends them over OTLP (OpenTelemetry).
//
// A [Tracer] is the option `tracing` of one configuration: it decides which calls are
// sampled, and begins a [Call] for each request. The [Exporter] outlives
// configurations: it queues ended spans and sends them to the collector that the
// variables OTEL_* of the environment name. No request ever waits for a collector.
//
// What is reported of a call is handed over by the gateway as an [Ending].
package tracing

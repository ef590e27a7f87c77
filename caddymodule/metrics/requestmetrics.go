package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The metrics of single requests.
var (
	requestsTotal = prometheus.NewDesc("edgegate_requests_total",
		"Requests that ended, those answered by the gateway itself among them.", []string{"region", "reason", "outcome", "code_class"}, nil)
	requestRetries = prometheus.NewDesc("edgegate_request_retries_total",
		"Attempts after the first one of a request, by the region that had the last.", []string{"region"}, nil)
	requestDuration = prometheus.NewDesc("edgegate_request_duration_seconds",
		"From the arrival of a request to the last byte of its answer; without WebSockets.", []string{"region"}, nil)
	backendDuration = prometheus.NewDesc("edgegate_request_backend_duration_seconds",
		"From handing a request to a backend until the head of the answer, all attempts together; without WebSockets.", []string{"region"}, nil)
	ownDuration = prometheus.NewDesc("edgegate_request_gateway_duration_seconds",
		"From the arrival of a request until it is handed to a backend, or answered by the gateway itself; without WebSockets.", []string{"region"}, nil)
	refusalsTotal = prometheus.NewDesc("edgegate_refusals_total",
		"Requests that the gateway answered with an error of its own, by its code.", []string{"code"}, nil)
	credentialsTotal = prometheus.NewDesc("edgegate_auth_total",
		"Requests whose credentials were judged, by the kind of credentials and the outcome.", []string{"kind", "outcome"}, nil)
	projectRequests = prometheus.NewDesc("edgegate_project_requests_total",
		"Requests of the busiest projects (`top_projects`), and of all others together.", []string{"project", "code_class"}, nil)
	projectSeconds = prometheus.NewDesc("edgegate_project_request_duration_seconds_total",
		"Sum of the durations of those requests; without WebSockets.", []string{"project"}, nil)
)

// requestDescs are all of them.
var requestDescs = []*prometheus.Desc{
	requestsTotal, requestRetries, requestDuration, backendDuration, ownDuration, refusalsTotal, credentialsTotal, projectRequests, projectSeconds,
}

// collectRequests sends the metrics of requests; none if they are not counted.
func collectRequests(r *Requests, metrics chan<- prometheus.Metric) {
	if r == nil {
		return
	}
	for _, in := range r.all() {
		in.collect(metrics)
	}
	for i, code := range codes {
		metrics <- count(refusalsTotal, r.codes[i].Load(), code)
	}
	for i := range judgements {
		metrics <- count(credentialsTotal, r.credentials[i].Load(), judgements[i].kind, judgements[i].outcome)
	}
	for _, p := range r.projects.series(time.Now()) {
		for class, n := range p.classes {
			if n > 0 || classes[class] == "2xx" {
				metrics <- count(projectRequests, n, p.project, classes[class])
			}
		}
		metrics <- prometheus.MustNewConstMetric(projectSeconds, prometheus.CounterValue, p.seconds, p.project)
	}
}

func (in *regionRequests) collect(metrics chan<- prometheus.Metric) {
	for reason := range in.counts {
		for outcome := range in.counts[reason] {
			for class := range in.counts[reason][outcome] {
				n := in.counts[reason][outcome][class].Load()
				if n > 0 || in.usual(reason, outcome, class) {
					metrics <- count(requestsTotal, n, in.name, reasons[reason], outcomes[outcome], classes[class])
				}
			}
		}
	}
	metrics <- count(requestRetries, in.retries.Load(), in.name)
	metrics <- histogramMetric{requestDuration, in.name, &in.whole}
	metrics <- histogramMetric{backendDuration, in.name, &in.backend}
	metrics <- histogramMetric{ownDuration, in.name, &in.own}
}

// usual reports whether a series is there from the start: the complete answers of a
// region, and the refusals without one. The others begin with their first request.
func (in *regionRequests) usual(reason, outcome, class int) bool {
	if in.name == none {
		return reasons[reason] == none && outcomes[outcome] == "refused" && (classes[class] == "4xx" || classes[class] == "5xx")
	}
	return reasons[reason] != none && reasons[reason] != other && outcomes[outcome] == "complete" && classes[class] == "2xx"
}

func count(desc *prometheus.Desc, n uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
}

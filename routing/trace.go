package routing

import "strings"

// maxBaggage bounds the baggage header sent to a backend, in bytes: the size that
// the W3C Baggage specification asks every platform to propagate.
const maxBaggage = 8192

// TraceContext is the W3C trace context to send to a backend.
type TraceContext struct {
	Parent  string // traceparent; "" when the client sent no valid one
	State   string // tracestate; only with a valid traceparent
	Baggage string // always has an sb-request-id entry
}

// ContinueTrace continues the client's trace context (contract 1.8): a
// valid traceparent and its tracestate pass unchanged, sb-* baggage entries
// are replaced by ours, every other entry stays.
func ContinueTrace(h Header, requestID string) TraceContext {
	t := TraceContext{Baggage: baggage(h.Values("Baggage"), requestID)}
	t.Parent, t.State = ClientTrace(h)
	return t
}

// ClientTrace returns the traceparent of a client, if it sent a valid one, and its
// tracestate.
func ClientTrace(h Header) (parent, state string) {
	parents := h.Values("Traceparent")
	if len(parents) != 1 || !validTraceparent(parents[0]) {
		return "", ""
	}
	return parents[0], strings.Join(h.Values("Tracestate"), ",")
}

// validTraceparent follows W3C Trace Context Level 2, section 3.2: version ff
// is invalid, version 00 has exactly four fields, later versions may have more.
func validTraceparent(s string) bool {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, trace, parent, flags := s[0:2], s[3:35], s[36:52], s[53:55]
	if !lowerHex(version) || !lowerHex(trace) || !lowerHex(parent) || !lowerHex(flags) {
		return false
	}
	if version == "ff" || strings.Trim(trace, "0") == "" || strings.Trim(parent, "0") == "" {
		return false
	}
	return len(s) == length || version != "00" && s[length] == '-'
}

func lowerHex(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func baggage(values []string, requestID string) string {
	ours := "sb-request-id=" + requestID
	if len(values) == 0 {
		return ours
	}
	var b strings.Builder
	b.WriteString(ours)
	for _, value := range values {
		for entry := range strings.SplitSeq(value, ",") {
			entry = strings.Trim(entry, " \t")
			key, _, found := strings.Cut(entry, "=")
			if !found || hasPrefixFold(strings.TrimRight(key, " \t"), "sb-") {
				continue
			}
			if b.Len()+1+len(entry) > maxBaggage {
				return b.String()
			}
			b.WriteByte(',')
			b.WriteString(entry)
		}
	}
	return b.String()
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

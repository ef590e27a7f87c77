package routing

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/routing/auth"
)

// CodeProjectsUnavailable is the code of the 503 while the projects are not loaded
// yet; clients would remember "not found".
const CodeProjectsUnavailable = "PROJECTS_UNAVAILABLE"

// The codes of answers that the gateway makes itself (contract section 5),
// sent as sb-error-code and in the body. Those of section 3 are package auth's.
const (
	CodeInvalidRegion       = "INVALID_REGION"
	CodeInvalidURL          = "INVALID_URL"
	CodeInvalidRequest      = "INVALID_REQUEST"
	CodeNotFound            = "NOT_FOUND"
	CodeProjectNotFound     = "PROJECT_NOT_FOUND"
	CodeMethodNotAllowed    = "METHOD_NOT_ALLOWED"
	CodeRequestTimeout      = "REQUEST_TIMEOUT"
	CodePayloadTooLarge     = "PAYLOAD_TOO_LARGE"
	CodeBackendError        = "BACKEND_ERROR"
	CodeUpgradeUnsupported  = "UPGRADE_UNSUPPORTED"
	CodeRegionUnavailable   = "REGION_UNAVAILABLE"
	CodeRateLimitExceeded   = "RATE_LIMIT_EXCEEDED"
	CodeGatewayOverloaded   = "GATEWAY_OVERLOADED"
	CodeIdleTimeout         = "IDLE_TIMEOUT"
	CodeResourceLimit       = "WORKER_RESOURCE_LIMIT"
	CodeFunctionError       = "EDGE_FUNCTION_ERROR"
	CodeProjectRestricted   = "PROJECT_RESTRICTED"
	CodeMeteringUnavailable = "METERING_UNAVAILABLE"
	CodeInvalidStatus       = "INVALID_RESPONSE_STATUS_CODE"
)

// StatusResourceLimit is the status of an invocation that used up its
// resources, as the hosted platform's runtime answers it (contract 5.26, 6.2).
const StatusResourceLimit = 546

// unavailableRetry is the Retry-After of REGION_UNAVAILABLE: the restart of a
// backend takes a few seconds.
const unavailableRetry = 5 * time.Second

// throttledRetry is the Retry-After of a throttled function, which an operator has
// to release; overloadedRetry that of requests that find the gateway busy.
const (
	throttledRetry  = time.Minute
	overloadedRetry = time.Second
)

// Refusal is an error answer by the gateway itself. Message is for the client and
// tells nothing internal; Cause is for the log.
type Refusal struct {
	Status      int
	Code        string
	Message     string
	BareMessage bool          // the body has no code member (contract 3.10)
	Challenge   string        // WWW-Authenticate; "" for none
	Allow       string        // Allow; "" for none
	RetryAfter  time.Duration // Retry-After in whole seconds; 0 for none
	Unavailable *Unavailable  // further members of the body, REGION_UNAVAILABLE only
	Cause       error
}

// Unavailable describes a region that is unavailable, and the alternatives
// (contract 2.5).
type Unavailable struct {
	Region       string        `json:"region"`
	State        regions.State `json:"state"`
	Since        time.Time     `json:"since"` // RFC 3339, UTC
	Alternatives []string      `json:"alternatives"`
}

// Body returns the JSON body of the answer.
func (r *Refusal) Body() []byte {
	type message struct {
		Code    string `json:"code,omitempty"`
		Message string `json:"message"`
		*Unavailable
	}
	m := message{Code: r.Code, Message: r.Message, Unavailable: r.Unavailable}
	if r.BareMessage {
		m.Code = ""
	}
	body, err := json.Marshal(m)
	if err != nil {
		// Strings and times of this era always marshal.
		panic(err)
	}
	return body
}

func refuse(status int, code, message string) *Refusal {
	return &Refusal{Status: status, Code: code, Message: message}
}

func unauthorized(f *auth.Failure) *Refusal {
	if errors.Is(f.Err, auth.ErrBusy) {
		refusal := refuse(http.StatusServiceUnavailable, CodeGatewayOverloaded, "Too many tokens are waiting to be verified")
		refusal.RetryAfter, refusal.Cause = overloadedRetry, f.Err
		return refusal
	}
	return &Refusal{
		Status:      http.StatusUnauthorized,
		Code:        f.Code,
		Message:     f.Message,
		BareMessage: f.BareMessage,
		Challenge:   f.Challenge,
		Cause:       f.Err,
	}
}

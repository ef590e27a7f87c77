package routing

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions"
)

// Failed returns the answer to an invocation for which Transport returned err. It
// returns nil for ErrClientGone: there is no client to answer.
func (p *Pipeline) Failed(inv *Invocation, err error) *Refusal {
	var refusal *Refusal
	switch {
	case errors.Is(err, regions.ErrClientGone):
		return nil
	case errors.Is(err, regions.ErrUnavailable):
		refusal = p.unavailable(inv)
	case errors.Is(err, regions.ErrUnmetered):
		refusal = unmetered(err)
	case errors.Is(err, regions.ErrOverloaded):
		refusal = refuse(http.StatusServiceUnavailable, CodeGatewayOverloaded, "The region has no room for another request")
		refusal.RetryAfter = unavailableRetry
	case errors.Is(err, regions.ErrIdleTimeout):
		refusal = refuse(http.StatusGatewayTimeout, CodeIdleTimeout,
			fmt.Sprintf("Request idle timeout limit (%s) reached", seconds(inv.Limits.Idle)))
	case errors.Is(err, regions.ErrWallClock):
		refusal = refuse(StatusResourceLimit, CodeResourceLimit,
			fmt.Sprintf("Wall clock time limit (%s) reached", seconds(inv.Limits.WallClock)))
	case errors.Is(err, regions.ErrClientStalled):
		refusal = refuse(http.StatusRequestTimeout, CodeRequestTimeout, "The request body did not arrive in time")
	case errors.Is(err, regions.ErrBodyMalformed):
		refusal = refuse(http.StatusBadRequest, CodeInvalidRequest, "The request body is malformed")
	case errors.Is(err, regions.ErrBodyTooLarge):
		refusal = p.tooLarge(inv)
	case errors.Is(err, ErrInvalidStatus):
		refusal = refuse(http.StatusInternalServerError, CodeInvalidStatus, "The function returned an invalid status code")
	case errors.Is(err, regions.ErrUpgradeUnsupported):
		refusal = upgradeUnsupported()
	case errors.Is(err, regions.ErrNotHTTP):
		refusal = refuse(http.StatusBadGateway, CodeBackendError, "The function's answer is not valid HTTP")
	case errors.Is(err, regions.ErrUnsendable):
		refusal = refuse(http.StatusBadGateway, CodeBackendError, "The request could not be passed on to the function")
	default:
		refusal = refuse(http.StatusBadGateway, CodeBackendError, "The function's runtime closed the connection before it answered")
	}
	refusal.Cause = err
	return refusal
}

// ErrInvalidStatus is the error of an answer whose status is not a valid one of
// HTTP (contract 5.13).
var ErrInvalidStatus = errors.New("invalid response status")

// seconds writes a limit as the hosted platform does: 150s.
func seconds(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return d.String()
}

// MaxErrorBody is the longest body of a failed answer that is searched for a code,
// in bytes.
const MaxErrorBody = 1 << 10

// MayHaveErrorCode reports whether the body of a failed answer is worth
// reading for its code: JSON of at most MaxErrorBody, or of unknown length -1.
func MayHaveErrorCode(contentType string, length int64) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json") && length <= MaxErrorBody
}

// runtimeCodes are the codes in the bodies of runtimes' own 5xx answers.
var runtimeCodes = []string{
	"WORKER_ERROR", "BOOT_ERROR", CodeResourceLimit, "WORKER_LIMIT", CodeFunctionError, CodeIdleTimeout,
}

// ErrorCode returns the sb-error-code of a backend's 5xx (contract
// 5.28). body may be longer than MaxErrorBody, or nil; then it is ignored.
func ErrorCode(status int, body []byte) string {
	if len(body) <= MaxErrorBody {
		var content struct {
			Code string `json:"code"`
		}
		if json.Unmarshal(body, &content) == nil && slices.Contains(runtimeCodes, content.Code) {
			return content.Code
		}
	}
	if status == StatusResourceLimit {
		return CodeResourceLimit
	}
	return CodeFunctionError
}

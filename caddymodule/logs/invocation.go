package logs

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// Invocation is a line of the invocation log: what is known of one request at its
// end (contract 8.2 to 8.26). It holds texts as they were received: they are masked
// when the line is written.
type Invocation struct {
	// Start is when the request came.
	Start time.Time
	// Duration is the time until the last byte of the answer.
	Duration time.Duration
	// RequestID is the sb-request-id of the answer.
	RequestID string

	// Method and URL are those of the request; the URL has scheme and host.
	Method, URL string
	// Headers are those of the request that the log shows.
	Headers ShownRequest

	// Project and FunctionID are empty, and Version is 0, while they are not known.
	Project, FunctionID string
	Version             int
	// ExecutionID is the function's x-deno-execution-id; empty for gateway answers.
	ExecutionID string

	// Region and Reason are empty for requests for which no region was chosen.
	Region, Reason string
	// Conflict is true if header and query named different regions.
	Conflict bool
	// Attempts counts the requests that were sent to backends.
	Attempts int

	// BytesIn and BytesOut are the sizes of the bodies that went to the function and
	// came from it; 0 for gateway answers.
	BytesIn, BytesOut int64
	// Record is the number of the ledger's record; 0 if there is none.
	Record uint64

	// Outcome says how the request ended (contract 8.19).
	Outcome string
	// Status is what the client got; 0 if the connection ended before any.
	Status int
	// ErrorCode, ContentType and ContentLength are headers of the answer; empty if
	// it has none.
	ErrorCode, ContentType, ContentLength string

	// JWT is the verified token; nil if the request passed without one.
	JWT *InvocationJWT
	// KeyPrefix and KeyHash are of the API key; empty without one.
	KeyPrefix, KeyHash string
}

// InvocationJWT has the claims of a verified token. Those that it lacks are empty,
// ExpiresAt is 0.
type InvocationJWT struct {
	Issuer, Subject, Role, Algorithm, KeyID, SignaturePrefix string
	// ExpiresAt is in Unix seconds.
	ExpiresAt int64
}

// shownRequest are the request headers that the invocation log shows, as
// http.Header spells them and in the order of the line. They say what a client
// wants and is; none carries credentials or addresses.
var shownRequest = [...]string{
	"Accept", "Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Content-Encoding",
	"Content-Length", "Content-Type", "Origin", "Sec-Websocket-Version", "Upgrade", "User-Agent", "X-Client-Info", "X-Region",
}

// shownRequestKeys are their names in the line.
var shownRequestKeys = func() (keys [len(shownRequest)]string) {
	for i, name := range shownRequest {
		keys[i] = strings.ToLower(name)
	}
	return keys
}()

// ShownRequest has the values of the request headers that the log shows.
type ShownRequest [len(shownRequest)]string

// ShowRequest picks the headers that the log shows. Several values of one are joined
// by commas.
func ShowRequest(header http.Header) (shown ShownRequest) {
	for i, name := range shownRequest {
		switch values := header[name]; len(values) {
		case 0:
		case 1:
			shown[i] = values[0]
		default:
			shown[i] = strings.Join(values, ", ")
		}
	}
	return shown
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (s *ShownRequest) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for i, value := range s {
		if value != "" {
			enc.AddString(shownRequestKeys[i], maskShort(value))
		}
	}
	return nil
}

// longestText is where texts that clients and functions choose are cut, in bytes.
const longestText = 2048

// maskShort returns a text of a client or a function without secrets, and not too
// long.
func maskShort(text string) string {
	text = Mask(text)
	if len(text) > longestText {
		text = text[:longestText] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// MarshalLogObject implements zapcore.ObjectMarshaler. Every line has all fields;
// what is not known is null. Nothing needs to be masked again, which would hide the
// prefix of an API key.
func (i *Invocation) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if masking, ok := enc.(maskingObject); ok {
		enc = masking.ObjectEncoder
	}
	f := fields{ObjectEncoder: enc}
	f.AddString("event_message", method(i.Method)+" | "+strconv.Itoa(i.Status)+" | "+maskShort(i.URL))
	f.AddString("id", i.RequestID)
	f.AddInt64("timestamp", i.Start.UnixMicro())
	f.text("project_ref", i.Project)
	f.text("function_id", i.FunctionID)
	f.text("deployment_id", i.deployment())
	f.text("execution_id", identifier(i.ExecutionID))
	f.AddInt64("execution_time_ms", i.Duration.Milliseconds())
	f.number("version", int64(i.Version))
	f.text("region", i.Region)
	f.text("region_reason", i.Reason)
	f.AddBool("region_conflict", i.Conflict)
	f.AddInt("attempts", i.Attempts)
	f.AddInt64("bytes_in", i.BytesIn)
	f.AddInt64("bytes_out", i.BytesOut)
	f.AddString("sb_request_id", i.RequestID)
	f.number("ledger_record_id", int64(i.Record))
	f.AddString("outcome", i.Outcome)
	f.number("status", int64(i.Status))
	f.text("response_content_type", maskShort(i.ContentType))
	if n, err := strconv.ParseInt(i.ContentLength, 10, 64); err == nil && n >= 0 {
		f.AddInt64("response_content_length", n)
	} else {
		f.null("response_content_length")
	}
	f.text("sb_error_code", maskShort(i.ErrorCode))
	f.object("request_headers", &i.Headers)
	if i.JWT != nil {
		f.object("jwt", i.JWT)
	} else {
		f.null("jwt")
	}
	if i.KeyHash != "" {
		f.object("api_key", zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error {
			enc.AddString("prefix", i.KeyPrefix)
			enc.AddString("sha256", i.KeyHash)
			return nil
		}))
	} else {
		f.null("api_key")
	}
	return f.err
}

// method returns a method as the log shows it: clients may send any word as one.
func method(text string) string {
	const longest = 20
	if len(text) > longest || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
		return redacted
	}
	return text
}

// deployment returns the name of the deployment (contract 8.7), "" while a part of
// it is not known.
func (i *Invocation) deployment() string {
	if i.Project == "" || i.FunctionID == "" || i.Version == 0 {
		return ""
	}
	return i.Project + "_" + i.FunctionID + "_" + strconv.Itoa(i.Version)
}

// identifier returns a text that is a UUID or the like, and "" for any other: a
// function may write what it likes there.
func identifier(text string) string {
	const longest = 64
	if len(text) > longest || strings.Trim(text, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return text
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (j *InvocationJWT) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	f := fields{ObjectEncoder: enc}
	f.text("issuer", maskShort(j.Issuer))
	f.text("subject", maskShort(j.Subject))
	f.text("role", maskShort(j.Role))
	f.text("algorithm", j.Algorithm)
	f.text("key_id", maskShort(j.KeyID))
	f.number("expires_at", j.ExpiresAt)
	f.text("signature_prefix", j.SignaturePrefix)
	return f.err
}

// fields adds fields that may be null.
type fields struct {
	zapcore.ObjectEncoder
	err error // the first one
}

func (f *fields) null(key string) { f.keep(f.AddReflected(key, nil)) }

func (f *fields) text(key, value string) {
	if value == "" {
		f.null(key)
		return
	}
	f.AddString(key, value)
}

func (f *fields) number(key string, value int64) {
	if value == 0 {
		f.null(key)
		return
	}
	f.AddInt64(key, value)
}

func (f *fields) object(key string, value zapcore.ObjectMarshaler) { f.keep(f.AddObject(key, value)) }

func (f *fields) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

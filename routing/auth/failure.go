package auth

import "errors"

// Why credentials were refused. Failure.Err is always one of these; none of
// them quotes anything the client sent.
var (
	ErrMissing         = errors.New("no credentials")                                       // contract 3.2
	ErrFormat          = errors.New("the Authorization header is not one 'Bearer {token}'") // contract 3.3
	ErrMalformed       = errors.New("token cannot be decoded")                              // contract 3.4
	ErrSignature       = errors.New("token signature does not match")                       // contract 3.5, 3.6
	ErrClaims          = errors.New("token claims are malformed")                           // contract 3.5, 3.6
	ErrCritical        = errors.New("token header has critical extensions")                 // contract 3.5, 3.6, RFC 7515 4.1.11
	ErrExpired         = errors.New("token has expired")                                    // contract 3.5, 3.6
	ErrNotYetValid     = errors.New("token is not valid yet")                               // contract 3.5, 3.6
	ErrIssuer          = errors.New("token issuer is not one of the project's")             // contract 3.8
	ErrAudience        = errors.New("token audience is not one of the project's")           // contract 3.8
	ErrRole            = errors.New("token role is not one of the project's")               // contract 3.8
	ErrUnknownSigner   = errors.New("token is signed with an unknown asymmetric key")       // contract 3.6
	ErrAlgorithm       = errors.New("token algorithm is not supported")                     // contract 3.7
	ErrUnknownKey      = errors.New("API key is unknown")                                   // contract 3.10
	ErrRepeatedKey     = errors.New("more than one apikey header")                          // contract 3.10
	ErrSecretInBrowser = errors.New("secret API key was used from a browser")               // contract 3.11
	ErrSecretInURL     = errors.New("secret API key came elsewhere than in a header")       // contract 3.15

	// ErrBusy is no judgement: too many signatures are being checked. The answer is
	// 503 GATEWAY_OVERLOADED (contract 5.21) instead of 401.
	ErrBusy = errors.New("too many token signatures are being checked")
)

// The values of the error body's code and of the sb-error-code header.
const (
	CodeNoAuthHeader         = "UNAUTHORIZED_NO_AUTH_HEADER"
	CodeInvalidFormat        = "UNAUTHORIZED_INVALID_JWT_FORMAT"
	CodeLegacyJWT            = "UNAUTHORIZED_LEGACY_JWT"
	CodeAsymmetricJWT        = "UNAUTHORIZED_ASYMMETRIC_JWT"
	CodeUnsupportedAlgorithm = "UNAUTHORIZED_UNSUPPORTED_TOKEN_ALGORITHM"
	CodeInvalidAPIKey        = "UNAUTHORIZED_INVALID_API_KEY"
	CodeSecretInBrowser      = "UNAUTHORIZED_SECRET_KEY_IN_BROWSER"
	CodeOverloaded           = "GATEWAY_OVERLOADED" // of a 503: ErrBusy
)

// Failure is the answer to a refused request: 401, or 503 if Err is ErrBusy.
// Failures are shared between requests and must not be changed.
type Failure struct {
	// Code is the sb-error-code header and, unless BareMessage, the body's code.
	Code string
	// Message is the body's message, printable ASCII; of what the client sent it
	// holds at most the name of an unsupported algorithm, cut to 64 bytes.
	Message string
	// BareMessage is true if the body is {"message":...} without a code (contract 3.10).
	BareMessage bool
	// Challenge is the whole value of WWW-Authenticate (contract 3.13, RFC 6750
	// section 3), always one of a fixed set of texts; empty when Err is ErrBusy.
	Challenge string
	// Err is the cause for the log, one of the Err values of this package.
	Err error
}

// fail makes the Failure of a cause. The challenge is built from constants only:
// RFC 6750 allows neither quotes nor backslashes in a description, so nothing a
// client sent may get there.
func fail(cause error) *Failure {
	switch {
	case errors.Is(cause, ErrMissing):
		return &Failure{
			Code:      CodeNoAuthHeader,
			Message:   "Missing authorization header",
			Challenge: challenge("invalid_request", "missing credentials"),
			Err:       cause,
		}
	case errors.Is(cause, ErrFormat):
		return &Failure{
			Code:      CodeInvalidFormat,
			Message:   "Auth header is not 'Bearer {token}'",
			Challenge: challenge("invalid_request", "malformed Authorization header"),
			Err:       cause,
		}
	case errors.Is(cause, ErrMalformed):
		return invalid(CodeInvalidFormat, "Invalid JWT", "malformed token", cause)
	case errors.Is(cause, ErrExpired):
		return invalid(CodeLegacyJWT, "Invalid JWT", "token expired", cause)
	case errors.Is(cause, ErrNotYetValid):
		return invalid(CodeLegacyJWT, "Invalid JWT", "token not yet valid", cause)
	case errors.Is(cause, ErrClaims):
		return invalid(CodeLegacyJWT, "Invalid JWT", "malformed claims", cause)
	case errors.Is(cause, ErrCritical):
		return invalid(CodeLegacyJWT, "Invalid JWT", "unsupported critical header", cause)
	case errors.Is(cause, ErrIssuer):
		return invalid(CodeLegacyJWT, "Invalid JWT", "wrong issuer", cause)
	case errors.Is(cause, ErrAudience):
		return invalid(CodeLegacyJWT, "Invalid JWT", "wrong audience", cause)
	case errors.Is(cause, ErrRole):
		return invalid(CodeLegacyJWT, "Invalid JWT", "wrong role", cause)
	case errors.Is(cause, ErrBusy):
		return &Failure{Code: CodeOverloaded, Message: "Too many requests to verify at once", Err: cause}
	case errors.Is(cause, ErrUnknownSigner):
		return invalid(CodeAsymmetricJWT, "Invalid JWT", "unknown signing key", cause)
	case errors.Is(cause, ErrAlgorithm):
		return invalid(CodeUnsupportedAlgorithm, "Unsupported JWT algorithm", "unsupported algorithm", cause)
	case errors.Is(cause, ErrUnknownKey):
		f := invalid(CodeInvalidAPIKey, "Invalid API key", "unknown API key", cause)
		f.BareMessage = true
		return f
	case errors.Is(cause, ErrRepeatedKey):
		f := invalid(CodeInvalidAPIKey, "Invalid API key", "more than one API key", cause)
		f.BareMessage = true
		return f
	case errors.Is(cause, ErrSecretInURL):
		f := invalid(CodeInvalidAPIKey, "Invalid API key", "secret API key outside of the headers", cause)
		f.BareMessage = true
		return f
	case errors.Is(cause, ErrSecretInBrowser):
		return invalid(CodeSecretInBrowser, "Forbidden use of secret API key in browser", "secret API key in browser", cause)
	}
	return invalid(CodeLegacyJWT, "Invalid JWT", "bad signature", cause)
}

// failAs makes the Failure of a token's cause: the code tells HS256 from the
// asymmetric algorithms (contract 3.5, 3.6).
func failAs(alg string, cause error) *Failure {
	f := fail(cause)
	if alg != algHS256 && f.Code == CodeLegacyJWT {
		f.Code = CodeAsymmetricJWT
	}
	return f
}

// invalid is a Failure whose credentials came and were judged bad.
func invalid(code, message, description string, cause error) *Failure {
	return &Failure{
		Code:      code,
		Message:   message,
		Challenge: challenge("invalid_token", description),
		Err:       cause,
	}
}

func challenge(code, description string) string {
	return `Bearer error="` + code + `", error_description="` + description + `"`
}

// unsupported is the Failure of an algorithm that the project does not take
// (contract 3.7). The name is the client's, so it is cut and made printable.
func unsupported(alg string) *Failure {
	const longest = 64
	name := []byte(alg[:min(len(alg), longest)])
	for i, b := range name {
		if b < ' ' || b > '~' {
			name[i] = '?'
		}
	}
	f := fail(ErrAlgorithm)
	f.Message += " " + string(name)
	return f
}

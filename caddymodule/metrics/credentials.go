package metrics

import (
	"errors"

	"github.com/edgegate/edgegate/routing/auth"
)

// judgement is how the credentials of a request were judged.
type judgement struct {
	kind    string // of the credentials: jwt, api_key, none
	outcome string
	cause   error // nil if they were accepted
}

const accepted = "accepted"

// judgements are all of them. The last one is that of causes which are not in the
// list.
var judgements = [...]judgement{
	{string(auth.MethodJWT), accepted, nil},
	{string(auth.MethodAPIKey), accepted, nil},
	{string(auth.MethodNone), accepted, nil},
	{string(auth.MethodNone), "missing", auth.ErrMissing},
	{string(auth.MethodJWT), "malformed_header", auth.ErrFormat},
	{string(auth.MethodJWT), "malformed", auth.ErrMalformed},
	{string(auth.MethodJWT), "bad_signature", auth.ErrSignature},
	{string(auth.MethodJWT), "malformed_claims", auth.ErrClaims},
	{string(auth.MethodJWT), "unsupported_extension", auth.ErrCritical},
	{string(auth.MethodJWT), "expired", auth.ErrExpired},
	{string(auth.MethodJWT), "not_yet_valid", auth.ErrNotYetValid},
	{string(auth.MethodJWT), "wrong_issuer", auth.ErrIssuer},
	{string(auth.MethodJWT), "wrong_audience", auth.ErrAudience},
	{string(auth.MethodJWT), "wrong_role", auth.ErrRole},
	{string(auth.MethodJWT), "unknown_signer", auth.ErrUnknownSigner},
	{string(auth.MethodJWT), "unsupported_algorithm", auth.ErrAlgorithm},
	{string(auth.MethodJWT), "overloaded", auth.ErrBusy},
	{string(auth.MethodAPIKey), "unknown", auth.ErrUnknownKey},
	{string(auth.MethodAPIKey), "repeated", auth.ErrRepeatedKey},
	{string(auth.MethodAPIKey), "secret_in_browser", auth.ErrSecretInBrowser},
	{string(auth.MethodAPIKey), "secret_in_url", auth.ErrSecretInURL},
	{other, other, nil},
}

// judgementOf returns the place in judgements.
func judgementOf(accepts auth.Method, failure error) int {
	for i := range judgements {
		j := &judgements[i]
		if failure == nil && j.outcome == accepted && j.kind == string(accepts) || failure != nil && j.cause != nil && errors.Is(failure, j.cause) {
			return i
		}
	}
	return len(judgements) - 1
}

package logs

import (
	"net/url"
	"regexp"
	"strings"
)

// redacted takes the place of a secret in logs. Caddy's own word.
const redacted = "REDACTED"

// shownHeaders are the headers whose values logs show. All others are redacted:
// functions may take secrets in headers of their own, under any name.
var shownHeaders = lowerSet(
	"Accept", "Accept-Encoding", "Accept-Ranges", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers",
	"Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
	"Access-Control-Request-Headers", "Access-Control-Request-Method", "Allow", "Alt-Svc", "Cache-Control", "Connection",
	"Content-Encoding", "Content-Length", "Content-Security-Policy", "Content-Type", "Date", "Origin", "RateLimit",
	"RateLimit-Policy", "Retry-After", "Sb-Error-Code", "Sb-Gateway-Version", "Sb-Project-Ref", "Sb-Request-Id",
	"Sec-Websocket-Version", "Server", "Transfer-Encoding", "Upgrade", "User-Agent", "Vary", "Via", "X-Client-Info",
	"X-Content-Type-Options", "X-Deno-Execution-Id", "X-Region", "X-Sb-Edge-Region", "X-Sb-Region-Reason", "X-Served-By",
)

// secretNames are the names of query parameters and log fields whose values are
// secrets. Those of contract 8.27, and what else is usual.
var secretNames = lowerSet(
	"jwt", "token", "apikey", "access_token", "api_key", "api-key", "x-api-key", "refresh_token", "id_token", "auth_token",
	"secret", "client_secret", "password", "passwd", "signature", "authorization", "proxy-authorization", "cookie", "set-cookie",
	"sec-websocket-protocol", "x-sb-debug", "referer",
)

func lowerSet(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[strings.ToLower(name)] = true
	}
	return set
}

// shape describes secrets that are recognized by their looks, wherever they are.
type shape struct {
	hint    string // part of every match, looked for first because it is cheap
	pattern *regexp.Regexp
	instead string
}

var shapes = []shape{
	{"eyJ", regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`), redacted},
	{"sb_", regexp.MustCompile(`sb_(secret|publishable)_[A-Za-z0-9_-]+`), "sb_${1}_" + redacted},
	{"whsec_", regexp.MustCompile(`whsec_[A-Za-z0-9+/=_-]+`), "whsec_" + redacted},
	{"k_", regexp.MustCompile(`\b([sr]k_(?:live|test))_[A-Za-z0-9_]+`), "${1}_" + redacted},
	{"earer ", regexp.MustCompile(`\b([Bb]earer) [A-Za-z0-9._~+/=-]{8,}`), "$1 " + redacted},
	{"@", regexp.MustCompile(`://[^/\s@"]*:[^/\s@"]*@`), "://" + redacted + "@"},
}

// Mask returns a text without secrets: the values of parameters with secret
// names, wherever a URL or a query stands in it, and what looks like a token, a
// key or a password in a URL. The rest stays byte for byte.
func Mask(text string) string {
	if strings.Contains(text, "=") {
		text = maskParameters(text)
	}
	for _, s := range shapes {
		if strings.Contains(text, s.hint) {
			text = s.pattern.ReplaceAllString(text, s.instead)
		}
	}
	return text
}

// Where parameters end: at the next one, and at the end of the URL that they
// are in.
const (
	parameterBreaks = "?&;#"
	urlBreaks       = " \t\r\n\"'<>`"
)

func maskParameters(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		end := strings.IndexAny(rest, parameterBreaks+urlBreaks)
		if end < 0 {
			end = len(rest)
		}
		b.WriteString(maskParameter(rest[:end]))
		if end < len(rest) {
			b.WriteByte(rest[end])
			end++
		}
		rest = rest[end:]
	}
	return b.String()
}

// maskParameter masks one name=value. A value may be a URL with parameters of
// its own; that one is masked as a whole.
func maskParameter(pair string) string {
	name, value, ok := strings.Cut(pair, "=")
	if !ok || value == "" {
		return pair
	}
	if secretNames[parameterName(name)] {
		return name + "=" + redacted
	}
	if inner, err := url.QueryUnescape(value); err == nil && inner != value && strings.Contains(inner, "=") && maskParameters(inner) != inner {
		return name + "=" + redacted
	}
	return pair
}

// parameterName is the name that a function reads: decoded, and without the
// brackets by which some write lists.
func parameterName(raw string) string {
	if decoded, err := url.QueryUnescape(raw); err == nil {
		raw = decoded
	}
	raw, _, _ = strings.Cut(raw, "[")
	return strings.ToLower(raw)
}

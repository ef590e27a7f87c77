package cors

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
)

const (
	app   = "https://app.customer.org"
	other = "https://evil.example"
	// exposed is contract 4.5, literally.
	exposed = "sb-error-code, sb-request-id, x-sb-edge-region, x-sb-region-reason, retry-after, www-authenticate, ratelimit, ratelimit-policy, x-sb-quota-remaining"
)

func mustNew(t testing.TB, c Config) *Policy {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatalf("New(%+v): %v", c, err)
	}
	return p
}

func list(t testing.TB) *Policy { return mustNew(t, Config{Origins: []string{app}}) }

func TestNewRefuses(t *testing.T) {
	tests := map[string]struct {
		config Config
		want   string
	}{
		"* with credentials (4.6)":       {Config{Origins: []string{"*"}, Credentials: true}, "list the origins"},
		"default with credentials":       {Config{Credentials: true}, "list the origins"},
		"empty list":                     {Config{Origins: []string{}}, "leave it out"},
		"* and more":                     {Config{Origins: []string{"*", app}}, "remove the others"},
		"null":                           {Config{Origins: []string{"null"}}, "sandboxed"},
		"NULL":                           {Config{Origins: []string{"NULL"}}, "sandboxed"},
		"empty":                          {Config{Origins: []string{""}}, "empty"},
		"no scheme":                      {Config{Origins: []string{"app.org"}}, "write https://app.org"},
		"bad scheme":                     {Config{Origins: []string{"1http://app.org"}}, "scheme"},
		"no scheme before ://":           {Config{Origins: []string{"://app.org"}}, "scheme"},
		"slash at the end":               {Config{Origins: []string{"https://app.org/"}}, "ends in a slash: write https://app.org"},
		"path":                           {Config{Origins: []string{"https://app.org/x"}}, "path or query: write https://app.org"},
		"query":                          {Config{Origins: []string{"https://app.org?x"}}, "path or query"},
		"fragment":                       {Config{Origins: []string{"https://app.org#x"}}, "path or query"},
		"user":                           {Config{Origins: []string{"https://me@app.org"}}, "user name"},
		"wildcard host":                  {Config{Origins: []string{"https://*.app.org"}}, "wildcards"},
		"no host":                        {Config{Origins: []string{"https://"}}, "no host"},
		"only a port":                    {Config{Origins: []string{"https://:80"}}, "no host"},
		"port 0":                         {Config{Origins: []string{"https://a:0"}}, "port"},
		"port too large":                 {Config{Origins: []string{"https://a:65536"}}, "port"},
		"port with a zero in front":      {Config{Origins: []string{"https://a:080"}}, "port"},
		"empty port":                     {Config{Origins: []string{"https://a:"}}, "port"},
		"port in letters":                {Config{Origins: []string{"https://a:http"}}, "port"},
		"two in one":                     {Config{Origins: []string{"https://a, https://b"}}, "one origin an entry"},
		"newline":                        {Config{Origins: []string{"https://a\n"}}, "control characters"},
		"not ASCII":                      {Config{Origins: []string{"https://b\u00fccher.example"}}, "xn--"},
		"character no host has":          {Config{Origins: []string{"https://a!b"}}, "the host contains"},
		"IPv6 without brackets":          {Config{Origins: []string{"http://::1"}}, "the host contains"},
		"IPv6 half in brackets":          {Config{Origins: []string{"http://[::1"}}, "IPv6"},
		"IPv4 in brackets":               {Config{Origins: []string{"http://[127.0.0.1]"}}, "IPv6"},
		"IPv6 with a zone":               {Config{Origins: []string{"http://[fe80::1%eth0]"}}, "IPv6"},
		"twice":                          {Config{Origins: []string{app, app}}, "twice"},
		"twice but for case and port":    {Config{Origins: []string{"https://A:443", "https://a"}}, "twice"},
		"the good does not hide the bad": {Config{Origins: []string{app, "x"}}, `origin "x"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := New(tt.config)
			if err == nil || p != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New(%+v) = %v, %v, want an error with %q", tt.config, p, err, tt.want)
			}
		})
	}
}

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := New(Config{Origins: []string{"*", "null", "https://a/"}, Credentials: true})
	for _, want := range []string{"null", "slash", "remove the others", "credentials"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error misses %q: %v", want, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	some := []string{
		"https://App.Customer.org", "http://localhost:3000", "https://a:443", "http://b:80", "http://c:443",
		"capacitor://localhost", "http://[0:0::1]:8080",
	}
	tests := map[string]struct {
		origins []string
		origin  string
		want    bool
	}{
		"default allows any":             {nil, other, true},
		"* allows any":                   {[]string{"*"}, other, true},
		"* allows null":                  {[]string{"*"}, "null", true},
		"* and no origin (4.4)":          {[]string{"*"}, "", false},
		"listed":                         {some, "https://app.customer.org", true},
		"listed, other case":             {some, "HTTPS://APP.customer.ORG", true},
		"listed with port":               {some, "http://localhost:3000", true},
		"other port":                     {some, "http://localhost:3001", false},
		"no port":                        {some, "http://localhost", false},
		"other scheme":                   {some, "http://app.customer.org", false},
		"default port of https left out": {some, "https://a", true},
		"default port of http left out":  {some, "http://b", true},
		"other scheme's port":            {some, "http://c:443", true},
		"scheme of an app":               {some, "capacitor://localhost", true},
		"IPv6 in its short form":         {some, "http://[::1]:8080", true},
		"suffix of a listed host":        {some, "https://evil-app.customer.org", false},
		"subdomain of a listed host":     {some, "https://x.app.customer.org", false},
		"listed host as a subdomain":     {some, "https://app.customer.org.evil.example", false},
		"listed with a slash":            {some, "https://app.customer.org/", false},
		"two of which one is listed":     {some, "https://app.customer.org, https://evil.example", false},
		"null":                           {some, "null", false},
		"* as an origin":                 {some, "*", false},
		"no origin (4.4)":                {some, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := mustNew(t, Config{Origins: tt.origins}).Allowed(tt.origin); got != tt.want {
				t.Errorf("Allowed(%q) = %v, want %v", tt.origin, got, tt.want)
			}
		})
	}
}

func TestGateway(t *testing.T) {
	star := mustNew(t, Config{})
	cookies := mustNew(t, Config{Origins: []string{app, other}, Credentials: true})
	tests := map[string]struct {
		policy *Policy
		origin string
		before http.Header
		want   http.Header
	}{
		"contract 4.4 any origin": {star, app, nil, http.Header{
			"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposed},
		}},
		"contract 4.4 any origin, none sent": {star, "", nil, http.Header{}},
		"contract 4.4 listed": {list(t), app, nil, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"},
		}},
		"contract 4.4 unlisted":          {list(t), other, nil, http.Header{"Vary": {"Origin"}}},
		"contract 4.4 a list, none sent": {list(t), "", nil, http.Header{"Vary": {"Origin"}}},
		"contract 4.4 a list, null":      {list(t), "null", nil, http.Header{"Vary": {"Origin"}}},
		"contract 4.4 Vary is merged": {list(t), "", http.Header{"Vary": {"Accept", "accept-encoding"}}, http.Header{
			"Vary": {"Accept, accept-encoding, Origin"},
		}},
		"contract 4.4 Vary has it":   {list(t), "", http.Header{"Vary": {"accept, origin"}}, http.Header{"Vary": {"accept, origin"}}},
		"contract 4.4 Vary is *":     {list(t), "", http.Header{"Vary": {"*"}}, http.Header{"Vary": {"*"}}},
		"contract 4.4 Vary is blank": {list(t), "", http.Header{"Vary": {" , "}}, http.Header{"Vary": {"Origin"}}},
		"contract 4.6 credentials": {cookies, app, nil, http.Header{
			"Access-Control-Allow-Origin": {app}, "Access-Control-Allow-Credentials": {"true"},
			"Access-Control-Expose-Headers": {exposed}, "Vary": {"Origin"},
		}},
		"contract 4.6 credentials, unlisted": {cookies, "https://x.example", nil, http.Header{"Vary": {"Origin"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := tt.before.Clone()
			if h == nil {
				h = http.Header{}
			}
			tt.policy.Gateway(h, tt.origin)
			if !reflect.DeepEqual(h, tt.want) {
				t.Errorf("Gateway(%q):\n got %v\nwant %v", tt.origin, h, tt.want)
			}
		})
	}
}

func BenchmarkGateway(b *testing.B) {
	p := list(b)
	b.ReportAllocs()
	for b.Loop() {
		p.Gateway(make(http.Header, 4), app)
	}
}

func BenchmarkResponse(b *testing.B) {
	p := mustNew(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		p.Response(http.Header{"Content-Type": {"application/json"}}, app, true)
	}
}

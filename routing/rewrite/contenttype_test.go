package rewrite

import (
	"net/http"
	"strings"
	"testing"
)

// Contract 6.3: text/html in any case or with parameters, or no Content-Type; not
// application/xhtml+xml, not image/svg+xml.
func TestContentType(t *testing.T) {
	tests := map[string]struct {
		values []string
		want   Verdict
	}{
		"html":                         {[]string{"text/html"}, Plain},
		"any case":                     {[]string{"TeXt/HtMl"}, Plain},
		"parameters":                   {[]string{"text/html; charset=utf-8"}, Plain},
		"parameter without value":      {[]string{"text/html;"}, Plain},
		"space before the semicolon":   {[]string{"text/html \t; charset=utf-8"}, Plain},
		"space round it":               {[]string{" \ttext/html\r\n"}, Plain},
		"broken parameters":            {[]string{`text/html; a="`}, Plain},
		"Chromium ends it at a space":  {[]string{"text/html charset=utf-8"}, Plain},
		"Chromium ends it at a tab":    {[]string{"text/html\tx"}, Plain},
		"Chromium ends it at a (":      {[]string{"text/html(comment)"}, Plain},
		"last of a list":               {[]string{"text/plain, text/html"}, Plain},
		"first of a list":              {[]string{"text/html, application/json"}, Plain},
		"middle of a list":             {[]string{"a/b,TEXT/HTML;x=y,c/d"}, Plain},
		"second value":                 {[]string{"application/json", "text/html"}, Plain},
		"first value":                  {[]string{"text/html", "application/json"}, Plain},
		"after a parameter's comma":    {[]string{"text/plain; charset=x,text/html"}, Plain},
		"inside a quoted string":       {[]string{`text/plain; a="b, text/html"`}, Keep},
		"quoted, then ended":           {[]string{`text/plain; a="b, text/html;"`}, Plain},
		"unknown beside html":          {[]string{"unknown/unknown, text/html"}, Plain},
		"open quote swallows the list": {[]string{`x"y, text/plain`}, SniffBody},
		"open quote swallows values":   {[]string{`x"y`, "text/plain"}, SniffBody},
		"type before a quoted comma":   {[]string{`text/plain; a="b, c"`}, Keep},
		"none":                         {nil, SniffBody},
		"empty":                        {[]string{""}, SniffBody},
		"blank":                        {[]string{" \t"}, SniffBody},
		"only commas":                  {[]string{",,"}, SniffBody},
		"no slash":                     {[]string{"html"}, SniffBody},
		"no subtype":                   {[]string{"text/"}, SniffBody},
		"no type":                      {[]string{"/html"}, SniffBody},
		"space inside":                 {[]string{"text/ html"}, SniffBody},
		"two slashes":                  {[]string{"text/html/x"}, SniffBody},
		"NUL":                          {[]string{"text/plain\x00"}, SniffBody},
		"not ASCII":                    {[]string{"text/ht\u217dml"}, SniffBody},
		"only parameters":              {[]string{"; charset=utf-8"}, SniffBody},
		"unknown/unknown":              {[]string{"unknown/unknown"}, SniffBody},
		"Unknown/Unknown; x":           {[]string{"Unknown/Unknown; x=y"}, SniffBody},
		"application/unknown":          {[]string{"application/unknown"}, SniffBody},
		"*/*":                          {[]string{"*/*"}, SniffBody},
		"json, then unknown":           {[]string{"application/json, unknown/unknown"}, SniffBody},
		"json, then */*":               {[]string{"application/json, */*"}, Keep},
		"json, then garbage":           {[]string{"application/json, garbage"}, Keep},
		"json":                         {[]string{"application/json"}, Keep},
		"plain":                        {[]string{"text/plain; charset=utf-8"}, Keep},
		"xhtml":                        {[]string{"application/xhtml+xml"}, Keep},
		"svg":                          {[]string{"image/svg+xml"}, Keep},
		"event stream":                 {[]string{"text/event-stream"}, Keep},
		"html with a suffix":           {[]string{"text/htmlx"}, Keep},
		"html with a prefix":           {[]string{"xtext/html"}, Keep},
		"html in a parameter":          {[]string{"text/plain; a=text/html"}, Keep},
		"multipart with html parts":    {[]string{"multipart/related; type=\"text/html\""}, Keep},
		"application/octet-stream":     {[]string{"application/octet-stream"}, Keep},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ContentType(tt.values); got != tt.want {
				t.Errorf("contract 6.3: ContentType(%q) = %v, want %v", tt.values, got, tt.want)
			}
		})
	}
}

// An encoded body cannot be sniffed here but is by browsers (contract 6.3, 6.7).
func TestHeaderWithEncodedBody(t *testing.T) {
	tests := map[string]struct {
		header http.Header
		want   Verdict
	}{
		"no type":                 {http.Header{}, SniffBody},
		"no type, gzip":           {http.Header{"Content-Encoding": {"gzip"}}, Plain},
		"no type, identity":       {http.Header{"Content-Encoding": {"Identity, "}}, SniffBody},
		"no type, identity, br":   {http.Header{"Content-Encoding": {"identity, br"}}, Plain},
		"useless type, two lines": {http.Header{"Content-Type": {"*/*"}, "Content-Encoding": {"", "zstd"}}, Plain},
		"json, gzip":              {http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, Keep},
		"html, gzip":              {http.Header{"Content-Type": {"text/html"}, "Content-Encoding": {"gzip"}}, Plain},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Header(tt.header); got != tt.want {
				t.Errorf("contract 6.7: Header(%v) = %v, want %v", tt.header, got, tt.want)
			}
		})
	}
}

func TestMakePlain(t *testing.T) {
	h := http.Header{
		"Content-Type":            {"text/html", "application/json"},
		"Content-Security-Policy": {"default-src *"},
		"Content-Length":          {"5"},
	}
	MakePlain(h)
	for name, want := range map[string]string{
		"Content-Type":            "text/plain",
		"X-Content-Type-Options":  "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox",
		"Content-Length":          "5",
	} {
		if got := h.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("contract 6.3: %s = %q, want only %q", name, got, want)
		}
	}
	if got := ContentType(h.Values("Content-Type")); got != Keep {
		t.Errorf("what MakePlain wrote is judged %v", got)
	}
}

func TestNoSniff(t *testing.T) {
	h := http.Header{"Content-Type": {"unknown/unknown"}}
	NoSniff(h)
	if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != "unknown/unknown" {
		t.Errorf("contract 6.3: NoSniff made %v", h)
	}
}

func TestVerdictString(t *testing.T) {
	for verdict, want := range map[Verdict]string{Keep: "keep", Plain: "plain", SniffBody: "sniff"} {
		if got := verdict.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

// FuzzContentType holds the judgement against a second reading of the rule: the
// text/html of the Fetch standard's algorithm, over which lists may only be stricter.
func FuzzContentType(f *testing.F) {
	for _, seed := range []string{
		"text/html", "text/plain, text/html;charset=x", `text/plain;a="b,c"`, "unknown/unknown", "*/*", "text/html(x)", `x"y, text/plain`, "a/b\ntext/html", "", "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		values := strings.Split(lines, "\n")
		got := ContentType(values)
		if got < Keep || got > SniffBody {
			t.Fatalf("ContentType(%q) = %d", values, got)
		}
		if typ := extractMIMEType(values); typ == "text/html" && got != Plain {
			t.Fatalf("contract 6.3: browsers take %q for text/html, ContentType says %v", values, got)
		} else if (typ == "" || typ == "unknown/unknown" || typ == "application/unknown") && got == Keep {
			t.Fatalf("contract 6.3: browsers sniff %q, ContentType says %v", values, got)
		}
		if again := ContentType(append([]string{"text/html"}, values...)); again != Plain {
			t.Fatalf("contract 6.3: %q after text/html is %v", values, again)
		}
	})
}

// extractMIMEType is "extract a MIME type" of the Fetch standard, reduced to the
// essence; "" is failure.
func extractMIMEType(values []string) string {
	found := ""
	for _, part := range splitQuoted(strings.Join(values, ", ")) {
		typ, _, _ := strings.Cut(strings.Trim(part, "\t\n\r "), ";")
		main, sub, ok := strings.Cut(typ, "/")
		sub = strings.TrimRight(sub, "\t\n\r ")
		if !ok || !isToken(main) || !isToken(sub) || main+"/"+sub == "*/*" {
			continue
		}
		found = strings.ToLower(main + "/" + sub)
	}
	return found
}

// splitQuoted is "get, decode, and split": commas inside quoted strings do not count.
func splitQuoted(s string) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

func BenchmarkHeader(b *testing.B) {
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	b.ReportAllocs()
	for b.Loop() {
		Header(h)
	}
}

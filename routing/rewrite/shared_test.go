package rewrite

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Types by what browsers do with them (Chromium's and Firefox's tables of types that get a document with script, and the MIME Sniffing
// standard's of those that make them look at the body).
var (
	scripting = []string{
		"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml", "text/xml", "application/xml", "image/svg+xml", "text/xsl",
		"application/xslt+xml", "application/rdf+xml", "text/rdf", "application/mathml+xml", "application/rss+xml", "application/atom+xml",
		"application/vnd.mozilla.xul+xml", "application/xml-dtd", "text/xml-external-parsed-entity", "x/y+xml", "multipart/x-mixed-replace",
		"multipart/mixed", "multipart/byteranges", "*/*", "unknown/unknown", "application/unknown",
	}
	inert = []string{
		"application/json", "text/plain", "text/css", "text/javascript", "application/javascript", "text/event-stream", "image/png",
		"application/octet-stream", "application/pdf", "font/woff2", "video/mp4", "application/wasm", "application/problem+json", "text/csv",
		"application/vnd.openxmlformats-officedocument.wordprocessingml.document", "application/grpc-web+proto", "application/xmlish",
	}
	unreadable = []string{"", " ", "html", "text/", "/html", "text/ html", "text/plain x", "text/html(x)", "a/b/c", "; charset=utf-8", "text/plain\x00", "\xfftext/plain"}
)

// spellings of a type that mean the same to a browser.
func spellings(typ string) []string {
	return []string{typ, strings.ToUpper(typ), typ + "; charset=utf-8", typ + " ;x", "\t" + typ + " ", typ + `;boundary="a b"`}
}

// Contract 6.3: which types a browser may run script in, case and parameters notwithstanding.
func TestMayRunScript(t *testing.T) {
	for _, list := range []struct {
		types []string
		want  bool
	}{{scripting, true}, {inert, false}, {unreadable, true}} {
		for _, typ := range list.types {
			for _, spelled := range spellings(typ) {
				if got := MayRunScript([]string{spelled}); got != list.want {
					t.Errorf("contract 6.3: MayRunScript(%q) = %v", spelled, got)
				}
			}
		}
	}
	if !MayRunScript(nil) {
		t.Error("contract 6.3: no Content-Type is none of those that may run script")
	}
	// Of several types browsers take one or the other.
	for _, values := range [][]string{
		{"application/json", "text/html"}, {"text/plain, image/svg+xml"}, {"text/plain", "text/plain"}, {`text/plain; a=", text/html"`}, {"", ""},
	} {
		if !MayRunScript(values) {
			t.Errorf("contract 6.3: MayRunScript(%q) = false", values)
		}
	}
}

// Contract 6.3: any status and any type; the function's own policy cannot take the place of ours.
func TestSharedHostSandboxes(t *testing.T) {
	own := [][]string{nil, {"default-src *; sandbox allow-scripts allow-same-origin"}, {"script-src 'self'", "img-src *"}, {sandbox}, {""}, {"sandbox allow-scripts, default-src *"}}
	for status := 100; status < 600; status++ {
		for _, policies := range own {
			for _, typ := range slices.Concat(scripting, inert, unreadable, []string{"absent"}) {
				h := http.Header{"Content-Type": {typ}}
				if typ == "absent" {
					delete(h, "Content-Type")
				}
				if policies != nil {
					h["Content-Security-Policy"] = slices.Clone(policies)
				}
				SharedHost(h, status)
				got := h["Content-Security-Policy"]
				want := status == 304 || status == 206 || !slices.Contains(inert, typ)
				if want != slices.Contains(got, sandbox) && !slices.Contains(policies, sandbox) {
					t.Fatalf("contract 6.3: %d %q with %q: %q", status, typ, policies, got)
				}
				for _, policy := range policies {
					if !slices.Contains(got, policy) {
						t.Fatalf("contract 6.3: %d %q: the function's %q is gone: %q", status, typ, policy, got)
					}
				}
				again := h.Clone()
				if SharedHost(again, status); !reflect.DeepEqual(again, h) {
					t.Fatalf("contract 6.3: a second time: %v, %v", h, again)
				}
			}
		}
	}
}

// Contract 6.3, 6.4: the names that no function may set on a shared host, and that others stay.
func TestSharedHostDrops(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{
		"Set-Cookie", "Service-Worker-Allowed", "Clear-Site-Data", "Refresh", "Strict-Transport-Security", "Alt-Svc", "Report-To", "NEL",
		"Reporting-Endpoints", "X-Accel-Redirect", "X-Accel-Buffering", "X-Accel-Expires", "x-accel-anything", "X-Sendfile",
	} {
		h.Add(name, "a")
		h.Add(name, "b")
	}
	want := http.Header{"Content-Type": {"application/json"}, "Location": {"/x"}, "Etag": {`"1"`}, "X-Accelerate": {"1"}, "Cache-Control": {"no-store"}}
	maps.Copy(h, want)
	if SharedHost(h, http.StatusOK); !reflect.DeepEqual(h, want) {
		t.Errorf("contract 6.3: left are %v", h)
	}
}

// Contract 6.3: links go that make browsers fetch, only those, in whatever spelling.
func TestSharedHostLinks(t *testing.T) {
	for _, tt := range []struct {
		name     string
		in, want []string
	}{
		{"none", nil, nil},
		{"preload", []string{`</x.js>; rel=preload; as=script`}, nil},
		{"any case", []string{`</x.js>; REL=PreLoad`}, nil},
		{"in apostrophes", []string{`</x>; rel='preload'`}, nil},
		{"quoted", []string{`</x>; rel="preconnect"`}, nil},
		{"among others", []string{`</x>; rel="next stylesheet prev"`}, nil},
		{"an escape in it", []string{`</x>; rel="pre\load"`}, nil},
		{"the second rel", []string{`</x>; rel=next; rel=dns-prefetch`}, nil},
		{"white space", []string{"\t</x> ;\trel = modulepreload "}, nil},
		{"a comma in the target", []string{`</a,b>; rel=preload`}, nil},
		{"others stay byte for byte", []string{` </a?x=1,2>;rel=next;  title="a, b; rel=preload" ,</b>; rel=prev`}, []string{` </a?x=1,2>;rel=next;  title="a, b; rel=preload" ,</b>; rel=prev`}},
		{"only those go", []string{`</a>; rel=next, </b>; rel=preload, </c>; rel="last"`}, []string{`</a>; rel=next, </c>; rel="last"`}},
		{"several values", []string{`</a>; rel=preload`, `</b>; rel=next`}, []string{`</b>; rel=next`}},
		{"in the title only", []string{`</a>; rel=next; title=preload`}, []string{`</a>; rel=next; title=preload`}},
		{"a longer relation", []string{`</a>; rel=preloaded`}, []string{`</a>; rel=preloaded`}},
		{"a relation that is a URL", []string{`</a>; rel="https://a.example/preload"`}, []string{`</a>; rel="https://a.example/preload"`}},
		{"unquoted type", []string{`</a>; rel=alternate; type=text/css`}, []string{`</a>; rel=alternate; type=text/css`}},
		{"no parameter", []string{`</a>`}, []string{`</a>`}},
		{"empty elements", []string{`, </a>; ; rel=next ,,`}, []string{`, </a>; ; rel=next ,,`}},
		{"a parameter without value", []string{`</a>; rel=next; crossorigin`}, []string{`</a>; rel=next; crossorigin`}},
		{"an open quote", []string{`</a>; title="x, </b>; rel=preload`, `</c>; rel=next`}, []string{`</c>; rel=next`}},
		{"an escape at the end", []string{`</a>; title="x\`}, nil},
		{"a target in the target", []string{`<a,<https://b.example>;rel=preload;x=c>; rel=next`}, nil},
		{"no target", []string{`rel=preload`}, nil},
		{"an open target", []string{`</a`}, nil},
		{"something behind the target", []string{`</a> x; rel=next`}, nil},
		{"a value without a name", []string{`</a>; =next`}, nil},
		{"no value", []string{`</a>; rel=`}, nil},
		{"a quote in a value", []string{`</a>; x=a"b`}, nil},
		{"a name that is none", []string{`</a>; r@l=x`}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Content-Type": {"application/json"}}
			if tt.in != nil {
				h["Link"] = tt.in
			}
			if SharedHost(h, http.StatusOK); !reflect.DeepEqual(h["Link"], tt.want) {
				t.Errorf("contract 6.3: %q became %q, want %q", tt.in, h["Link"], tt.want)
			}
		})
	}
}

// FuzzLinks: what is left has no link that makes browsers fetch, for a reader that forgives everything either; what is left was there.
func FuzzLinks(f *testing.F) {
	for _, seed := range []string{
		`</a>; rel=preload`, `</a>; rel="next preload", </b>; rel=prev`, `<a,b>; title="x, </b>; rel=preload"; rel=next`, `</a>;;rel = "pre\connect"`, `,`, `</a>; rel='preload'`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		left := quietLinks(value)
		if again := quietLinks(left); again != left {
			t.Fatalf("contract 6.3: %q became %q, and that %q", value, left, again)
		}
		for _, text := range forgivingSplit(left) {
			if !strings.Contains(value, strings.TrimSpace(text)) {
				t.Fatalf("contract 6.3: %q is not of %q", text, value)
			}
			if forgivingFetches(text) {
				t.Fatalf("contract 6.3: %q of %q is left", text, value)
			}
		}
	})
}

// forgivingSplit is a browser's way: at commas outside of quotes and targets.
func forgivingSplit(value string) []string {
	var parts []string
	quoted, target, start := false, false, 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"' && !target:
			quoted = !quoted
		case c == '<' && !quoted:
			target = true
		case c == '>' && !quoted:
			target = false
		case c == ',' && !quoted && !target:
			parts, start = append(parts, value[start:i]), i+1
		}
	}
	return append(parts, value[start:])
}

// forgivingFetches looks for the parameter rel behind the target.
func forgivingFetches(text string) bool {
	_, parameters, ok := strings.Cut(text, ">")
	if !ok {
		return false
	}
	quoted, start := false, 0
	var list []string
	for i := 0; i < len(parameters); i++ {
		switch c := parameters[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			list, start = append(list, parameters[start:i]), i+1
		}
	}
	for _, p := range append(list, parameters[start:]) {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "rel") {
			continue
		}
		for relation := range strings.FieldsSeq(strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`))) {
			if slices.Contains([]string{"preload", "preconnect", "dns-prefetch", "modulepreload", "stylesheet"}, relation) {
				return true
			}
		}
	}
	return false
}

// Contract 6.9: what the policy of the head sets or removes is in no trailer; the rest is.
func TestTrailer(t *testing.T) {
	for _, name := range []string{
		"Set-Cookie", "Service-Worker-Allowed", "Clear-Site-Data", "Nel", "Link", "X-Accel-Redirect", "Content-Type", "Content-Security-Policy",
		"Access-Control-Allow-Origin", "Access-Control-Whatever", "Vary", "Sb-Request-Id", "Sb-Error-Code", "X-Sb-Edge-Region", "X-Sb-Anything", "X-Served-By",
		"Content-Length", "Transfer-Encoding", "Trailer", "Ratelimit", "X-Content-Type-Options",
	} {
		if InTrailer(name) {
			t.Errorf("contract 6.9: %s is a trailer", name)
		}
	}
	h := http.Header{"Grpc-Status": {"0"}, "Server-Timing": {"a"}, "Content-Digest": {"x"}, "X-Checksum": {"1"}, "Sb-X": {"1"}, "set-cookie": {"a=b"}, "Set-Cookie": nil}
	Trailer(h)
	if got := fmt.Sprint(h); got != "map[Content-Digest:[x] Grpc-Status:[0] Server-Timing:[a] X-Checksum:[1]]" {
		t.Errorf("left are %s", got)
	}
}

func BenchmarkSharedHost(b *testing.B) {
	h := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Link": {`</a>; rel=next`}}
	b.ReportAllocs()
	for b.Loop() {
		SharedHost(h, http.StatusOK)
	}
}

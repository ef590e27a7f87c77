package rewrite

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// sniffBody feeds a body in chunks of the sizes that cuts gives, over and over, and
// returns the verdict and how many bytes it took. It fails if the verdict is ever
// taken back, or if holding on was pointless or letting go too early.
func sniffBody(t *testing.T, body, cuts []byte) (html bool, held int) {
	t.Helper()
	decided := false
	for end, i := 0, 0; ; i++ {
		gotHTML, gotDecided := Sniff(body[:end], false)
		if decided && (!gotDecided || gotHTML != html) {
			t.Fatalf("contract 6.3: verdict on %q was %v, after %d bytes it is %v, %v", body, html, end, gotHTML, gotDecided)
		}
		if !decided && gotDecided {
			html, decided, held = gotHTML, true, end
		}
		if end == len(body) {
			break
		}
		step := 1
		if len(cuts) > 0 {
			step = int(cuts[i%len(cuts)])
		}
		end = min(len(body), end+max(1, step))
	}
	gotHTML, gotDecided := Sniff(body, true)
	if !gotDecided {
		t.Fatalf("contract 6.3: Sniff(%q, eof) is undecided", body)
	}
	if decided && gotHTML != html {
		t.Fatalf("contract 6.3: verdict on %q was %v, at the end it is %v", body, html, gotHTML)
	}
	if !decided {
		held = len(body)
	}
	return gotHTML, held
}

func detected(body []byte) bool {
	return strings.HasPrefix(http.DetectContentType(body), "text/html")
}

// Contract 6.3: no Content-Type and a body that sniffs as HTML.
func TestSniff(t *testing.T) {
	spaces := strings.Repeat(" ", SniffLength)
	tests := map[string]struct {
		body string
		html bool
		held int // bytes after which one-byte writes are decided
	}{
		"empty":                              {"", false, 0},
		"html":                               {"<html>", true, 6},
		"doctype":                            {"<!DOCTYPE html>", true, 15},
		"doctype in lower case":              {"<!doctype html><p>", true, 15},
		"mixed case":                         {"<hTmL >", true, 6},
		"white space first":                  {"\t\n\f\r <script>x", true, 13},
		"comment":                            {"<!-- x", true, 5},
		"one letter":                         {"<p>", true, 3},
		"longer name, same start":            {"<pre>", false, 3},
		"name continues to another":          {"<body>", true, 6},
		"no tag end":                         {"<html", false, 5},
		"newline is no tag end here":         {"<html\n>", false, 6},
		"json":                               {`{"a":1}`, false, 1},
		"text":                               {"hello <html>", false, 1},
		"xml":                                {"<?xml version='1.0'?><html>", false, 2},
		"byte order mark":                    {"\xef\xbb\xbf<html>", false, 1},
		"NUL first":                          {"\x00<html>", false, 1},
		"only white space":                   {" \n ", false, 3},
		"white space to the limit":           {spaces + "<html>", false, SniffLength - 2},
		"tag ends at the limit":              {spaces[:SniffLength-3] + "<p>", true, SniffLength},
		"tag ends past the limit":            {spaces[:SniffLength-2] + "<p>", false, SniffLength - 2},
		"long tag that cannot fit":           {spaces[:SniffLength-5] + "<html>", false, SniffLength - 2},
		"long tag that just fits":            {spaces[:SniffLength-6] + "<html>", true, SniffLength},
		"longest tag one byte past the room": {spaces[:SniffLength-14] + "<!doctype html>", false, SniffLength - 11},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			html, held := sniffBody(t, []byte(tt.body), nil)
			if html != tt.html || html != detected([]byte(tt.body)) {
				t.Errorf("contract 6.3: Sniff says %v, DetectContentType %v, want %v", html, detected([]byte(tt.body)), tt.html)
			}
			if held != tt.held {
				t.Errorf("contract 6.3: decided after %d bytes, want %d", held, tt.held)
			}
		})
	}
}

// A function that writes "<", waits, and then writes the rest must not get its
// page shown.
func TestSniffSlowWriter(t *testing.T) {
	if html, decided := Sniff([]byte("<"), false); html || decided {
		t.Fatalf("contract 6.3: Sniff(<) = %v, %v, want it undecided", html, decided)
	}
	if html, decided := Sniff([]byte("<html>"), false); !html || !decided {
		t.Fatalf("contract 6.3: Sniff(<html>) = %v, %v, want HTML", html, decided)
	}
}

// The signatures are net/http's: each is HTML there in any case, and nothing less is.
func TestSniffSignatures(t *testing.T) {
	for _, signature := range signatures {
		for _, body := range []string{signature + ">", strings.ToUpper(signature) + " "} {
			if !detected([]byte(body)) {
				t.Errorf("DetectContentType no longer takes %q for HTML", body)
			}
			sniffBody(t, []byte(body), nil)
		}
	}
}

// FuzzSniff: for any body in any chunks the verdict is DetectContentType's, it is
// never taken back, and it comes as soon as it can: what is held back could still
// have become HTML.
func FuzzSniff(f *testing.F) {
	for _, signature := range signatures {
		f.Add(uint16(0), []byte(signature+">"), []byte{1})
		f.Add(uint16(SniffLength-len(signature)), []byte(strings.ToUpper(signature)+" x"), []byte{3, 200})
	}
	f.Add(uint16(3), []byte("<?xml ?><html>"), []byte{0})
	f.Add(uint16(600), []byte("<html>"), []byte{7, 255})
	f.Add(uint16(0), []byte("\xef\xbb\xbf<html>"), []byte{2})
	f.Fuzz(func(t *testing.T, spaces uint16, rest, cuts []byte) {
		body := append(bytes.Repeat([]byte{'\n'}, int(spaces%1024)), rest...)
		html, held := sniffBody(t, body, cuts)
		if want := detected(body); html != want {
			t.Fatalf("contract 6.3: Sniff says %v, DetectContentType %v", html, want)
		}
		if len(cuts) > 0 {
			return
		}
		// One-byte writes: one byte fewer must really have been open, which a
		// completion of some signature proves.
		for n := range held {
			if !completable(body[:n]) {
				t.Fatalf("contract 6.3: %q was held back and cannot become HTML", body[:n])
			}
		}
	})
}

// completable finds out by trial whether bytes can be added that make it HTML.
func completable(prefix []byte) bool {
	for _, signature := range signatures {
		for k := 0; k <= len(signature); k++ {
			if detected(append(bytes.Clone(prefix), signature[k:]+">"...)) {
				return true
			}
		}
	}
	return false
}

func BenchmarkSniff(b *testing.B) {
	for name, body := range map[string]string{"json": `{"message":"hello"}`, "html": "<!doctype html><title>x</title>"} {
		b.Run(name, func(b *testing.B) {
			prefix := []byte(body)
			b.ReportAllocs()
			for b.Loop() {
				Sniff(prefix, false)
			}
		})
	}
}

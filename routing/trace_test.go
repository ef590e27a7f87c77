package routing

import (
	"net/http"
	"strings"
	"testing"
)

const testParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Contract 1.8, W3C Trace Context Level 2 section 3.2: what is a traceparent.
func TestContinueTraceParent(t *testing.T) {
	tests := []struct {
		name    string
		parents []string
		valid   bool
	}{
		{"none", nil, false},
		{"sampled", []string{testParent}, true},
		{"not sampled", []string{strings.TrimSuffix(testParent, "1") + "0"}, true},
		{"unknown flags", []string{strings.TrimSuffix(testParent, "01") + "ff"}, true},
		{"later version", []string{"cc" + testParent[2:]}, true},
		{"later version with more fields", []string{"cc" + testParent[2:] + "-what-the-future-brings"}, true},
		{"later version, field not separated", []string{"cc" + testParent[2:] + "x"}, false},
		{"version 00 with more fields", []string{testParent + "-00"}, false},
		{"version ff", []string{"ff" + testParent[2:]}, false},
		{"version not hexadecimal", []string{"0g" + testParent[2:]}, false},
		{"version in capitals", []string{"0A" + testParent[2:]}, false},
		{"trace id in capitals", []string{strings.Replace(testParent, "af", "AF", 1)}, false},
		{"trace id of zeros", []string{"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01"}, false},
		{"parent id of zeros", []string{"00-0af7651916cd43dd8448eb211c80319c-" + strings.Repeat("0", 16) + "-01"}, false},
		{"parent id not hexadecimal", []string{strings.Replace(testParent, "b7ad", "b7ax", 1)}, false},
		{"flags not hexadecimal", []string{strings.TrimSuffix(testParent, "01") + "0x"}, false},
		{"first separator", []string{"00_" + testParent[3:]}, false},
		{"second separator", []string{testParent[:35] + "_" + testParent[36:]}, false},
		{"third separator", []string{testParent[:52] + "_" + testParent[53:]}, false},
		{"too short", []string{testParent[:54]}, false},
		{"a space behind", []string{testParent + " "}, false},
		{"empty", []string{""}, false},
		{"two of them", []string{testParent, testParent}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Traceparent": tt.parents, "Tracestate": {"a=1", "b=2"}}
			got := ContinueTrace(h, "id")
			want := TraceContext{Baggage: "sb-request-id=id"}
			if tt.valid {
				want.Parent, want.State = tt.parents[0], "a=1,b=2"
			}
			if got != want {
				t.Errorf("contract 1.8: got %+v, want %+v", got, want)
			}
		})
	}
}

// Contract 1.8: only sb-* entries of the client's baggage are replaced.
func TestContinueTraceBaggage(t *testing.T) {
	tests := []struct {
		name    string
		baggage []string
		rest    string // behind our own entry
	}{
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"one entry", []string{"userId=alice"}, ",userId=alice"},
		{"entries and properties", []string{"a=1;p=q; r , b=%20"}, ",a=1;p=q; r,b=%20"},
		{"several headers", []string{"a=1", "b=2,c=3"}, ",a=1,b=2,c=3"},
		{"a forged id", []string{"sb-request-id=forged"}, ""},
		{"among others", []string{"a=1,sb-request-id=forged,b=2"}, ",a=1,b=2"},
		{"in capitals", []string{"SB-REQUEST-ID=forged,Sb-X=1"}, ""},
		{"any sb- name", []string{"sb-=1,sb-project-ref=other"}, ""},
		{"spaces in front", []string{"a=1, \tsb-request-id=forged"}, ",a=1"},
		{"spaces before =", []string{"sb-request-id \t =forged"}, ""},
		{"spaces everywhere", []string{" sb-request-id = forged ; p=1 "}, ""},
		{"in a second header", []string{"a=1", "sb-request-id=forged"}, ",a=1"},
		{"names that only look like it", []string{"sb=1,xsb-a=2,s=3"}, ",sb=1,xsb-a=2,s=3"},
		{"sb- in a property or value", []string{"a=sb-x;sb-y=1"}, ",a=sb-x;sb-y=1"},
		{"without =", []string{"sb-request-id,a,b=1"}, ",b=1"},
		{"empty entries", []string{",,a=1,,"}, ",a=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ContinueTrace(http.Header{"Baggage": tt.baggage}, "id")
			if want := (TraceContext{Baggage: "sb-request-id=id" + tt.rest}); got != want {
				t.Errorf("contract 1.8: got %+v, want %+v", got, want)
			}
		})
	}
}

// Contract 1.8: what W3C Baggage asks to propagate is, more is cut at an
// entry, and our own entry is never what is lost.
func TestContinueTraceBaggageLimit(t *testing.T) {
	ours := "sb-request-id=id"
	fits := "a=" + strings.Repeat("x", maxBaggage-len(ours)-len(",a="))
	if got := ContinueTrace(http.Header{"Baggage": {fits}}, "id").Baggage; got != ours+","+fits || len(got) != maxBaggage {
		t.Errorf("contract 1.8: %d bytes, want all %d", len(got), maxBaggage)
	}
	if got := ContinueTrace(http.Header{"Baggage": {fits + "x"}}, "id").Baggage; got != ours {
		t.Errorf("contract 1.8: got %d bytes, want only ours", len(got))
	}
	if got := ContinueTrace(http.Header{"Baggage": {"a=1", fits, "b=2"}}, "id").Baggage; got != ours+",a=1" {
		t.Errorf("contract 1.8: got %d bytes, want what is in front of the cut", len(got))
	}
}

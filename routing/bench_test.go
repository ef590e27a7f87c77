package routing

import (
	"net/http"
	"testing"
)

// BenchmarkAdmit is the cost of the pipeline for one request, without the
// server in front of it and the transport behind.
func BenchmarkAdmit(b *testing.B) {
	benchmarks := []struct {
		name, target string
		header       []string
		status       int // 0 passes
	}{
		{"verify_jwt off", "/functions/v1/open/items?limit=10", nil, 0},
		{"API key", "/functions/v1/hello", []string{"Apikey", publishableKey}, 0},
		{"HS256 token", "/functions/v1/hello", []string{"Authorization", "Bearer " + goodToken()}, 0},
		{"named region", "/functions/v1/open?forceFunctionRegion=us-east-1", []string{"X-Region", "us-east-1"}, 0},
		{"encoded path", "/functions/v1/open/a%20b/c%2Fd", nil, 0},
		{"404", "/functions/v1/nobody", nil, 404},
		{"401", "/functions/v1/hello", nil, 401},
	}
	p := newFixture().pipeline(b)
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			r := request(bb.target, bb.header...)
			r.Method = http.MethodPost
			var inv Invocation
			b.ReportAllocs()
			for b.Loop() {
				inv = Invocation{}
				refusal := p.Admit(r, Site{}, &inv)
				if (refusal == nil) != (bb.status == 0) || refusal != nil && refusal.Status != bb.status {
					b.Fatalf("refusal %+v", refusal)
				}
			}
		})
	}
}

// The request id is all that an open function's call allocates.
func TestAdmitAllocations(t *testing.T) {
	p := newFixture().pipeline(t)
	r := request("/functions/v1/open/items?limit=10")
	var inv Invocation
	allocs := testing.AllocsPerRun(100, func() {
		inv = Invocation{}
		if refusal := p.Admit(r, Site{}, &inv); refusal != nil {
			t.Fatal(refusal.Code)
		}
	})
	if allocs > 1 {
		t.Errorf("%v allocations, want 1", allocs)
	}
}

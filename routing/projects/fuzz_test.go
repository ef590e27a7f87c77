package projects

import (
	"errors"
	"strings"
	"testing"
)

// Whatever a file says, reading it never panics, its errors are bounded and of
// one kind, and what is accepted is found again by ref, by host and by domain.
func FuzzBuild(f *testing.F) {
	for _, file := range []string{
		example, "", "{}", `{"projects":[]}`, `[]`, "\ufeff{\"projects\":[]}",
		inProject(`"domains":["Bücher.test","192.0.2.1","::1","xn--bcher-kva.test"]`),
		inProject(`"functions":[{"slug":"*"},{"slug":"a","status":"REMOVED"},{"slug":"b\u0065"}]`),
		inProject(`"max_body":"1MB","wall_clock":"1s","cors":{"origins":["https://a.test"],"credentials":true}`),
		inProject(`"jwt":{"jwks":{"keys":[{"kty":"EC"}]},"issuer":"a","audience":["b"],"leeway":1000000000}`),
		`{"projects":[{"ref":"` + refA + `","domains":["x.test"]},{"ref":"` + refB + `","domains":["x.test"]}]}`,
		`{"projects":[null,{"\ud800":1},{"ref":null}]}`, `{"projects":[{"functions":[[[[]]]]}]}`, "{\"projects\":[\"\xff\"]}",
		inOrganization(`"plan":"pro","time_zone":"Europe/Berlin","quota":5,"grace":"1h"`), strings.Repeat("[", 20_000),
	} {
		f.Add([]byte(file), false)
		f.Add([]byte(file), true)
	}
	f.Fuzz(func(t *testing.T, file []byte, keepGood bool) {
		in, err := SplitFile(file)
		if err != nil {
			if strings.Count(err.Error(), "\n") > maxErrors {
				t.Fatalf("unbounded error: %v", err)
			}
			return
		}
		in.KeepGood = keepGood
		b := testBuilder(t)
		s, report, err := b.Build(in)
		if err != nil {
			if invalid, ok := errors.AsType[*InvalidError](err); !ok || keepGood || invalid.empty() || len(invalid.Problems) > maxErrors || s != nil {
				t.Fatalf("error %v", err)
			}
			return
		}
		if s.Len() != report.Projects || !keepGood && s.Len() != len(in.Projects) {
			t.Fatalf("%d projects of %d records, report %+v", s.Len(), len(in.Projects), report)
		}
		for p := range s.All() {
			checkFound(t, s, p)
		}
		// Unchanged text is taken over, from records as they come from a store too.
		for _, list := range [][]Record{in.Organizations, in.Projects} {
			for i := range list {
				list[i].checked = false
			}
		}
		_, again, err := b.Build(in)
		if err != nil || again.Reused != report.Projects {
			t.Fatalf("built again: %v, %+v, before %+v", err, again, report)
		}
	})
}

func checkFound(t *testing.T, s *Snapshot, p *Project) {
	t.Helper()
	if found, ok := s.Lookup(p.Ref); !ok || found != p || !ValidRef(p.Ref) {
		t.Fatalf("ref %q is not found", p.Ref)
	}
	for host, want := range map[string]Match{
		p.Ref + ".example.com":                   {Project: p, Shared: true},
		p.Ref + ".functions.example.com.:1":      {Project: p, Shared: true, HostForm: true},
		strings.ToUpper(p.Ref) + ".EXAMPLE.com.": {Project: p, Shared: true},
	} {
		if m, ok := s.Find(host); !ok || m != want {
			t.Fatalf("contract 1.1, 1.2: %s is %+v", host, m)
		}
	}
	for _, domain := range p.Domains {
		host := domain
		if strings.Contains(host, ":") {
			host = "[" + host + "]:443"
		}
		if m, ok := s.Find(host); !ok || m != (Match{Project: p}) {
			t.Fatalf("contract 1.1: domain %q is %+v, %v", domain, m, ok)
		}
	}
	for f := range p.EachFunction() {
		found, ok := p.Function(f.Slug)
		if f.Slug == Wildcard {
			if ok {
				t.Fatal("contract 1.4: the wildcard is called by name")
			}
			continue
		}
		if found != f || ok != (f.Status != StatusRemoved) || !ValidSlug(f.Slug) || Reserved(f.Slug) {
			t.Fatalf("contract 1.4: function %+v is %+v, %v", f, found, ok)
		}
	}
}

// What is taken as a domain is found under what was written, as long as a
// client can send it.
func FuzzParseDomain(f *testing.F) {
	for _, domain := range []string{"api.example.org", "API.Example.org", "Bücher.test", "xn--bcher-kva.test", "a_b.test", "::1", "1.2.3.4", "a..b", "-a", "ß.test", "a.test."} {
		f.Add(domain)
	}
	f.Fuzz(func(t *testing.T, domain string) {
		host, err := ParseDomain(domain)
		if err != nil {
			return
		}
		if again, err := ParseDomain(host); err != nil || again != host {
			t.Fatalf("%q is %q, and that is %q, %v", domain, host, again, err)
		}
		if !ascii(host) || !strings.Contains(host, ":") && NormalizeHost(host) != host {
			t.Fatalf("%q is %q, which no request has", domain, host)
		}
	})
}

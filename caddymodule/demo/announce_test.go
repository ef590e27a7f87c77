package demo

import (
	"strings"
	"testing"
)

func TestAnnounceSamples(t *testing.T) {
	var b strings.Builder
	d := still()
	if err := d.announce(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{
		"http://localhost:8000", "anon JWT         a.b.c\n", "sb_publishable_p", "sb_secret_s",
		"us-east-1        93ms         http://127.0.0.1:1002\n",
		"hello echo page* clock* ws* slow crash status ",
		"edgegate status\n", "edgegate explain\n",
		"UNAUTHORIZED_NO_AUTH_HEADER", "x-sb-region-reason: failover",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if n := len(d.tries(d.runtime.functions())); n != 5 {
		t.Errorf("%d curl lines, want 5", n)
	}
	if strings.Contains(out, "c0ffee") {
		t.Error("the JWT secret is printed")
	}
}

func TestAnnounceNamesAnotherAdminAddress(t *testing.T) {
	var b strings.Builder
	d := still()
	d.admin = "127.0.0.1:3333"
	_ = d.announce(&b)
	for _, want := range []string{"edgegate status --address 127.0.0.1:3333\n", "edgegate explain --address 127.0.0.1:3333\n", "`go run ./cmd/edgegate status --address 127.0.0.1:3333`"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

func TestPick(t *testing.T) {
	for _, c := range []struct {
		name     string
		in       []function
		slug     string
		verified bool
	}{
		{"hello", []function{{"a", true}, {"hello", false}}, "hello", false},
		{"the first that verifies", []function{{"a", false}, {"b", true}, {"c", true}}, "b", true},
		{"the first of none", []function{{"a", false}, {"b", false}}, "a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if slug, verified := pick(c.in); slug != c.slug || verified != c.verified {
				t.Errorf("got %s, %v", slug, verified)
			}
		})
	}
}

package regions

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParseHint(t *testing.T) {
	list := func(names ...string) Hint { return Hint{Regions: names} }
	orAny := func(names ...string) Hint { return Hint{Regions: names, Any: true} }
	conflict := func(h Hint) Hint { h.Conflict = true; return h }
	lines := func(values ...string) []string { return values }
	for _, tc := range []struct {
		name   string
		header []string
		query  string
		want   Hint
	}{
		// Contract 2.1: header or parameter; `any` or empty is not named.
		{"contract 2.1 neither", nil, "", Hint{}},
		{"contract 2.1 other parameters", nil, "a=b&forceFunctionRegions=eu&forcefunctionregion=eu&=x&&c", Hint{}},
		{"contract 2.1 header", lines("eu-west-1"), "", list("eu-west-1")},
		{"contract 2.1 query", nil, "forceFunctionRegion=eu-west-1", list("eu-west-1")},
		{"contract 2.1 both, as supabase-js sends", lines("eu-west-1"), "a=b&forceFunctionRegion=eu-west-1", list("eu-west-1")},
		{"contract 2.1 any in the header", lines("any"), "", Hint{}},
		{"contract 2.1 any in the query", nil, "forceFunctionRegion=any", Hint{}},
		{"contract 2.1 any in both", lines("any"), "forceFunctionRegion=any", Hint{}},
		{"contract 2.1 empty header", lines(""), "", Hint{}},
		{"contract 2.1 parameter without a value", nil, "forceFunctionRegion", Hint{}},
		{"contract 2.1 empty parameter", nil, "forceFunctionRegion=", Hint{}},
		{"contract 2.1 case matters", lines("ANY"), "", list("ANY")},

		// Contract 2.2: the header wins; absent, empty or `any` leaves it to
		// the query, of which the first value counts, percent-decoded.
		{"contract 2.2 header wins", lines("eu-west-1"), "forceFunctionRegion=us-east-1", conflict(list("eu-west-1"))},
		{"contract 2.2 any is no conflict", lines("eu-west-1"), "forceFunctionRegion=any", list("eu-west-1")},
		{"contract 2.2 any leaves it to the query", lines("any"), "forceFunctionRegion=us-east-1", list("us-east-1")},
		{"contract 2.2 empty leaves it to the query", lines(""), "forceFunctionRegion=us-east-1", list("us-east-1")},
		{"contract 2.2 blanks leave it to the query", lines(" \t", ","), "forceFunctionRegion=us-east-1", list("us-east-1")},
		{"contract 2.2 other order is a conflict", lines("a,b"), "forceFunctionRegion=b,a", conflict(list("a", "b"))},
		{"contract 2.2 other end is a conflict", lines("a,any"), "forceFunctionRegion=a", conflict(orAny("a"))},
		{"contract 2.2 faulty query under a header is a conflict", lines("a"), "forceFunctionRegion=any,a", conflict(list("a"))},
		{"contract 2.2 first value", nil, "forceFunctionRegion=a&forceFunctionRegion=b", list("a")},
		{"contract 2.2 first value though empty", nil, "forceFunctionRegion=&forceFunctionRegion=b", Hint{}},
		{"contract 2.2 encoded value", nil, "forceFunctionRegion=eu%2Dwest%2d1", list("eu-west-1")},
		{"contract 2.2 encoded name", nil, "force%46unctio%6eRegio%6E=a", list("a")},
		{"contract 2.2 encoded comma and plus", nil, "forceFunctionRegion=+a%2C+b%20,%09any", orAny("a", "b")},
		{"contract 2.2 undecodable value is literal", nil, "forceFunctionRegion=a%zz+b", list("a%zz+b")},
		{"contract 2.2 undecodable name is another name", nil, "forceFunctionRegion%=a&forceFunctionRegion%4=b&forceFunctionRegio%zz=c&forceFunctionRegio%6=d", Hint{}},
		{"contract 2.2 only & separates", nil, "a=1;forceFunctionRegion=a", Hint{}},
		{"contract 2.2 = in the value", nil, "forceFunctionRegion=a=b", list("a=b")},
		{"contract 2.2 a header isn't decoded", lines("a%2Cb"), "", list("a%2Cb")},

		// Contract 2.3: lists, and RFC 9110 sections 5.3 and 5.6.1.
		{"contract 2.3 list", lines("eu-west-1, eu-west-2"), "", list("eu-west-1", "eu-west-2")},
		{"contract 2.3 list in the query", nil, "forceFunctionRegion=eu-west-1,eu-west-2", list("eu-west-1", "eu-west-2")},
		{"contract 2.3 ends in any", lines("eu-west-1,any"), "", orAny("eu-west-1")},
		{"contract 2.3 several lines", lines("a", "b,c"), "", list("a", "b", "c")},
		{"contract 2.3 any on the last line", lines("a", "any"), "", orAny("a")},
		{"contract 2.3 empty items", lines(",, a ,\t,b,"), "", list("a", "b")},
		{"contract 2.3 empty items after any", lines("a,any, ,"), "", orAny("a")},
		{"contract 2.3 repetitions", lines("a,b,a", "b"), "", list("a", "b")},
		{"contract 2.3 any repeated at the end", lines("a,any", "any"), "", orAny("a")},
		{"contract 2.3 blanks inside stay", lines("a b"), "", list("a b")},
		{"contract 2.3 case-sensitive", lines("a,A"), "", list("a", "A")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ParseHint(tc.header, tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if got.Named() != (len(tc.want.Regions) > 0) {
				t.Errorf("Named() = %v", got.Named())
			}
		})
	}
}

// many is a list of n different names.
func many(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("r%d", i))
	}
	return strings.Join(names, ",")
}

// Contract 2.3: `any` only last. What is wrong here is 400 INVALID_REGION.
func TestParseHintErrors(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, tc := range []struct {
		name   string
		header []string
		query  string
		item   string
		want   string
	}{
		{"any first", []string{"any, eu-west-1"}, "", "eu-west-1", "region \"eu-west-1\": `any` may only be the last of a list"},
		{"any between", []string{"a,any,b"}, "", "b", "region \"b\": `any` may only be the last of a list"},
		{"any on an earlier line", []string{"any", "a"}, "", "a", "region \"a\": `any` may only be the last of a list"},
		{"a repetition after any", []string{"a,any,a"}, "", "a", "region \"a\": `any` may only be the last of a list"},
		{"in the query", nil, "forceFunctionRegion=any%2Ca", "a", "region \"a\": `any` may only be the last of a list"},
		{"in the query under any", []string{"any"}, "forceFunctionRegion=any,a", "a", "region \"a\": `any` may only be the last of a list"},
		{"the query doesn't save the header", []string{"any,a"}, "forceFunctionRegion=b", "a", "region \"a\": `any` may only be the last of a list"},
		{"too many", []string{many(maxHintRegions + 1)}, "", "r64", `region "r64": more than 64 regions`},
		{"long items are cut", []string{"any," + long}, "", long[:64], "region \"" + long[:64] + "\": `any` may only be the last of a list"},
		{"control characters are quoted", nil, "forceFunctionRegion=any,a%0d%0ab", "a\r\nb", "region \"a\\r\\nb\": `any` may only be the last of a list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hint, err := ParseHint(tc.header, tc.query)
			if hint.Named() {
				t.Errorf("a hint beside the error: %+v", hint)
			}
			checkError(t, err, tc.want)
			var hintErr *HintError
			if !errors.As(err, &hintErr) || hintErr.Item != tc.item {
				t.Errorf("got %#v, want a *HintError for %q", err, tc.item)
			}
		})
	}
}

func TestParseHintTakesAsManyAsItSays(t *testing.T) {
	hint, err := ParseHint([]string{many(maxHintRegions) + ",r0,any"}, "")
	if err != nil || len(hint.Regions) != maxHintRegions || !hint.Any {
		t.Errorf("got %d regions, any %v, %v", len(hint.Regions), hint.Any, err)
	}
}

func TestParseHintWithoutAHintDoesNotAllocate(t *testing.T) {
	for _, tc := range []struct {
		name   string
		header []string
		query  string
	}{
		{"nothing", nil, ""},
		{"other parameters", nil, "name=a%20b&page=2&force%46unctionRegio=x&%"},
		{"any", []string{"any"}, "forceFunctionRegion=any"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, func() { _, _ = ParseHint(tc.header, tc.query) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func FuzzParseHint(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""},
		{"eu-west-1", ""},
		{"any", "forceFunctionRegion=eu-west-1"},
		{"a,any", "forceFunctionRegion=a"},
		{"any,a", ""},
		{"a\nb", "x=1&force%46unctionRegion=a%2Cb"},
		{" ,\t,", "forceFunctionRegion=%zz"},
		{many(70), "forceFunctionRegion=" + many(70)},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, query string) {
		lines := strings.Split(header, "\n")
		hint, err := ParseHint(lines, query)
		if err != nil {
			var hintErr *HintError
			if !errors.As(err, &hintErr) || len(hintErr.Item) > maxNameLength {
				t.Errorf("error %#v", err)
			}
			if hint.Named() || hint.Any || hint.Conflict {
				t.Errorf("a hint beside the error: %+v", hint)
			}
			return
		}
		if !hint.Named() && (hint.Any || hint.Conflict) {
			t.Errorf("names nothing but has more: %+v", hint)
		}
		if len(hint.Regions) > maxHintRegions {
			t.Errorf("%d regions", len(hint.Regions))
		}
		for i, name := range hint.Regions {
			if name == "" || name == anyName || strings.ContainsAny(name, ",") || strings.Trim(name, " \t") != name {
				t.Errorf("item %q", name)
			}
			if slices.Contains(hint.Regions[:i], name) {
				t.Errorf("%q is there twice", name)
			}
		}
		// The lines of a header are one list: joined they say the same.
		joined, err := ParseHint([]string{strings.Join(lines, ",")}, query)
		if err != nil || !reflect.DeepEqual(joined, hint) {
			t.Errorf("joined %+v, %v, lines %+v", joined, err, hint)
		}
		// What was understood, said again, is understood the same.
		if hint.Named() {
			again := strings.Join(hint.Regions, ",")
			if hint.Any {
				again += ",any"
			}
			said, err := ParseHint([]string{again}, "")
			if err != nil || said.Any != hint.Any || !slices.Equal(said.Regions, hint.Regions) {
				t.Errorf("%q: %+v, %v, first %+v", again, said, err, hint)
			}
		}
	})
}

func BenchmarkParseHint(b *testing.B) {
	for _, bc := range []struct {
		name   string
		header []string
		query  string
	}{
		{"none", nil, ""},
		{"other parameters", nil, "name=Ada%20Lovelace&page=2&order=created_at.desc"},
		{"both", []string{"eu-central-1"}, "forceFunctionRegion=eu-central-1"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = ParseHint(bc.header, bc.query)
			}
		})
	}
}

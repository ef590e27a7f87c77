package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const small = `# source: somewhere
from\to,b,a
b,1.5,20
a,21.0004,2.25
`

func TestParse(t *testing.T) {
	got, err := parse(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.Names, " ") != "b a" {
		t.Errorf("names %q, want those of the file in its order", got.Names)
	}
	want := [][]uint32{{1500, 20000}, {21000, 2250}}
	for i := range want {
		for j := range want[i] {
			if got.Microseconds[i][j] != want[i][j] {
				t.Errorf("[%d][%d] = %d us, want %d", i, j, got.Microseconds[i][j], want[i][j])
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ name, csv, want string }{
		{"empty", "# nothing\n", "no matrix: want a line of names and a line per name"},
		{"only names", "x,a\n", "no matrix: want a line of names and a line per name"},
		{"row missing", "x,a,b\na,1,2\n", "not square: 2 names, 1 rows"},
		{"column missing", "x,a,b\na,1\nb,1\n", "record on line 2: wrong number of fields"},
		{"rows in another order", "x,a,b\nb,1,2\na,2,1\n", `row 1 is "b", want "a" as in the line of names`},
		{"name twice", "x,a,a\na,1,2\na,2,1\n", `row 2: name "a" is empty or repeated`},
		{"no number", "x,a\na,fast\n", `from a to a: strconv.ParseFloat: parsing "fast": invalid syntax`},
		{"zero", "x,a\na,0\n", "from a to a: 0 ms is not within 0 to 2000 ms"},
		{"negative", "x,a\na,-1\n", "from a to a: -1 ms is not within 0 to 2000 ms"},
		{"microseconds", "x,a\na,3690\n", "from a to a: 3690 ms is not within 0 to 2000 ms"},
		{"not a number", "x,a\na,NaN\n", "from a to a: NaN ms is not within 0 to 2000 ms"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse(strings.NewReader(tc.csv))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "out.go")
	if err := os.WriteFile(in, []byte(small), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-in", in, "-out", out}, io.Discard); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), out, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if file.Name.Name != "geo" || !ast.IsGenerated(file) {
		t.Errorf("package %s, marked as generated: %v", file.Name.Name, ast.IsGenerated(file))
	}
	for _, want := range []string{
		"github.com/relab/hotstuff", "3179c6e", "MIT licence",
		"var priorNames = [2]string{\n\t\"b\",\n\t\"a\",\n}",
		"var priorMicroseconds = [2][2]uint32{\n\t{1500, 20000},\n\t{21000, 2250},\n}",
	} {
		if !strings.Contains(string(source), want) {
			t.Errorf("%q is missing in\n%s", want, source)
		}
	}
	if strings.Contains(string(source), dir) {
		t.Errorf("the path of the data is in the output")
	}
}

func TestRunLeavesTheOutputAloneOnErrors(t *testing.T) {
	dir := t.TempDir()
	bad, out := filepath.Join(dir, "bad.csv"), filepath.Join(dir, "out.go")
	for path, text := range map[string]string{bad: "x,a\na,0\n", out: "before"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"no arguments", nil},
		{"unknown flag", []string{"-x"}},
		{"no output", []string{"-in", bad}},
		{"no such input", []string{"-in", filepath.Join(dir, "none.csv"), "-out", out}},
		{"bad input", []string{"-in", bad, "-out", out}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := run(tc.args, io.Discard); err == nil {
				t.Error("no error")
			}
			if got, _ := os.ReadFile(out); string(got) != "before" {
				t.Errorf("output is now %q", got)
			}
		})
	}
}

package caddymodule_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"
)

// The habits of docs/contributing.md that no linter checks.

const (
	// aFieldALine is the number of fields from which a keyed literal has each of them on a line of its own.
	aFieldALine = 4

	// mostArguments is how many positional arguments an exported function may have beside a context or a test.
	mostArguments = 3
)

func TestHabits(t *testing.T) {
	for _, f := range parseTree(t, "..") {
		if f.isTest() || ast.IsGenerated(f.ast) {
			continue
		}
		for _, p := range habits(f.fset, f.ast) {
			t.Errorf("%s:%d: %s", f.path, p.line, p.text)
		}
	}
}

// bad is a place that breaks a habit.
type bad struct {
	line int
	text string
}

func habits(fset *token.FileSet, file *ast.File) []bad {
	var found []bad
	add := func(at token.Pos, format string, args ...any) {
		found = append(found, bad{fset.Position(at).Line, fmt.Sprintf(format, args...)})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt:
			if strangers(n.Init, n.Cond) {
				add(n.Pos(), "the statement in front of this condition is about something else: give it a line of its own")
			}
		case *ast.SwitchStmt:
			if strangers(n.Init, conditions(n)...) {
				add(n.Pos(), "the statement in front of this switch is about something else: give it a line of its own")
			}
		case *ast.CompositeLit:
			if crowded(fset, n) {
				add(n.Pos(), "a literal of %d fields: one a line from %d on", len(n.Elts), aFieldALine)
			}
		case *ast.FuncDecl:
			if count := positional(n); count > mostArguments {
				add(n.Pos(), "%s has %d positional arguments: more than %d want a struct", n.Name.Name, count, mostArguments)
			}
		}
		return true
	})
	return found
}

// conditions are the expressions that a switch decides by.
func conditions(s *ast.SwitchStmt) []ast.Expr {
	if s.Tag != nil {
		return []ast.Expr{s.Tag}
	}
	var list []ast.Expr
	for _, clause := range s.Body.List {
		list = append(list, clause.(*ast.CaseClause).List...)
	}
	return list
}

// strangers reports whether nothing that init assigns is used by the conditions.
func strangers(init ast.Stmt, conditions ...ast.Expr) bool {
	if init == nil {
		return false
	}
	var assigned []string
	switch s := init.(type) {
	case *ast.AssignStmt:
		for _, left := range s.Lhs {
			assigned = append(assigned, types.ExprString(left))
		}
	case *ast.IncDecStmt:
		assigned = []string{types.ExprString(s.X)}
	}
	used := false
	for _, condition := range conditions {
		ast.Inspect(condition, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok && slices.Contains(assigned, types.ExprString(e)) {
				used = true
			}
			return !used
		})
	}
	return !used
}

// crowded reports whether a literal with names of fields has several of them on a line though they are many.
func crowded(fset *token.FileSet, literal *ast.CompositeLit) bool {
	if _, isMap := literal.Type.(*ast.MapType); isMap || len(literal.Elts) < aFieldALine {
		return false
	}
	last := fset.Position(literal.Lbrace).Line
	shared := false
	for _, element := range literal.Elts {
		field, keyed := element.(*ast.KeyValueExpr)
		if !keyed {
			return false
		}
		if _, named := field.Key.(*ast.Ident); !named {
			return false
		}
		line := fset.Position(element.Pos()).Line
		shared = shared || line == last
		last = fset.Position(element.End()).Line
	}
	return shared
}

// positional counts the arguments of an exported function, or of an exported method of an exported type, without a context, a test
// and a variadic one.
func positional(f *ast.FuncDecl) int {
	if !f.Name.IsExported() || f.Recv != nil && !exportedReceiver(f.Recv.List[0].Type) {
		return 0
	}
	count := 0
	for _, field := range f.Type.Params.List {
		if slices.Contains([]string{"context.Context", "*testing.T", "*testing.B", "testing.TB"}, types.ExprString(field.Type)) {
			continue
		}
		if _, variadic := field.Type.(*ast.Ellipsis); !variadic {
			count += max(1, len(field.Names))
		}
	}
	return count
}

func exportedReceiver(e ast.Expr) bool {
	name := strings.TrimPrefix(types.ExprString(e), "*")
	return ast.IsExported(name)
}

func TestHabitsFinds(t *testing.T) {
	for _, tc := range []struct {
		name string
		code string
		want int
	}{
		{"a condition about what was assigned", "if err := f(); err != nil {}", 0},
		{"one of two values", "if v, err := f(); err != nil { _ = v }", 0},
		{"a field that was assigned", "if c.n -= 1; c.n < 0 {}", 0},
		{"counted and compared", "if n++; n > 3 {}", 0},
		{"no statement", "if ok {}", 0},
		{"another variable", "if a := f(); b {}", 1},
		{"a field of another", "if s.cut = down; r.down {}", 1},
		{"another field", "if s.cut = down; s.down {}", 1},
		{"a call", "if mu.Lock(); ok {}", 1},
		{"behind an else", "if ok {} else if a := f(); b {}", 1},
		{"a switch on what was assigned", "switch v := f(); v { case 1: }", 0},
		{"a switch whose cases use it", "switch v := f(); { case ok: case v > 1: }", 0},
		{"a switch on something else", "switch v := f(); w { case v: }", 1},
		{"a switch whose cases do not use it", "switch v := f(); { case ok: }", 1},
		{"a type switch", "switch v := f().(type) { case int: _ = v }", 0},
		{"three fields on a line", "_ = T{a: 1, b: 2, c: 3}", 0},
		{"four fields on a line", "_ = T{a: 1, b: 2, c: 3, d: 4}", 1},
		{"four fields on two lines", "_ = T{\na: 1, b: 2,\nc: 3, d: 4,\n}", 1},
		{"four fields on four lines", "_ = T{\na: 1,\nb: 2,\nc: 3,\nd: 4,\n}", 0},
		{"a field of several lines", "_ = T{\na: 1,\nb: []int{\n1,\n}, c: 3,\nd: 4,\n}", 1},
		{"a pointer to one", "_ = &T{a: 1, b: 2, c: 3, d: 4}", 1},
		{"one in a list", "_ = []T{{a: 1, b: 2, c: 3, d: 4}}", 1},
		{"a row of a table", "_ = []T{{1, 2, 3, 4}}", 0},
		{"a map", "_ = map[string]int{a: 1, b: 2, c: 3, d: 4}", 0},
		{"an array by numbers", "_ = [...]int{0: 1, 1: 2, 2: 3, 3: 4}", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := habitsOf(t, "func f() { "+tc.code+" }"); len(got) != tc.want {
				t.Errorf("found %v, want %d", got, tc.want)
			}
		})
	}
	for _, tc := range []struct {
		name string
		code string
		want int
	}{
		{"three", "func F(a, b int, c string) {}", 0},
		{"four", "func F(a, b int, c, d string) {}", 1},
		{"three and any number", "func F(a, b, c int, d ...string) {}", 0},
		{"four without names", "func F(int, int, int, int) {}", 1},
		{"three and a context", "func F(ctx context.Context, a, b, c int) {}", 0},
		{"three and a test", "func F(t testing.TB, a, b, c int) {}", 0},
		{"four in a function of the package's own", "func f(a, b, c, d int) {}", 0},
		{"four in a method", "func (t *T) F(a, b, c, d int) {}", 1},
		{"four in a method of a type of the package's own", "func (t *t) F(a, b, c, d int) {}", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := habitsOf(t, tc.code); len(got) != tc.want {
				t.Errorf("found %v, want %d", got, tc.want)
			}
		})
	}
}

// habitsOf returns what is found in one declaration.
func habitsOf(t *testing.T, code string) []bad {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "x.go", "package x\n\n"+code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return habits(fset, file)
}

package caddymodule_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of docs/contract.md have numbers, and tests quote them as "contract 7.2" (with a capital at the start of a sentence), also in lists ("contract 2.3, 2.5") and
// ranges ("contract 3.4 to 3.6"). docs/contract-tests.md is the index of these quotes. It is written by
//
//	go test ./caddymodule -run TestContract -update

var update = flag.Bool("update", false, "write the generated parts of docs anew")

const (
	contractPage = "../docs/contract.md"
	contractList = "../docs/contract-tests.md"
)

// ruleID is the number of a rule: section and place.
type ruleID struct{ section, place int }

func (r ruleID) String() string { return fmt.Sprintf("%d.%d", r.section, r.place) }

func compareRules(a, b ruleID) int {
	return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.place, b.place))
}

func TestContract(t *testing.T) {
	rules := contractRules(t, contractPage)
	quoted := make(map[ruleID]map[string][]string) // rule -> directory -> tests
	for _, q := range testQuotes(t, "..") {
		if quoted[q.rule] == nil {
			quoted[q.rule] = make(map[string][]string)
		}
		quoted[q.rule][q.dir] = append(quoted[q.rule][q.dir], q.test)
	}

	var page bytes.Buffer
	page.WriteString(contractListHead)
	for _, id := range slices.SortedFunc(maps.Keys(rules), compareRules) {
		if len(quoted[id]) == 0 && !rules[id].planned {
			t.Errorf("no test quotes contract %s: %s", id, rules[id].text)
		}
		var cell []string
		for _, dir := range slices.Sorted(maps.Keys(quoted[id])) {
			tests := quoted[id][dir]
			slices.Sort(tests)
			cell = append(cell, "`"+dir+"`: "+strings.Join(slices.Compact(tests), ", "))
		}
		if rules[id].planned {
			cell = append([]string{"*planned*"}, cell...)
		}
		fmt.Fprintf(&page, "| %s | %s |\n", id, strings.Join(cell, "; "))
	}
	upToDate(t, contractList, page.Bytes())
}

const contractListHead = `# Which test checks which rule

Generated from the tests that quote the rules of [contract.md](contract.md), by ` + "`go test ./caddymodule -run TestContract -update`" + `.
Below a directory stand its tests; what ends in ` + "`.mjs`" + ` is a file of tests in JavaScript, and a name in brackets a table or a helper of tests.

| rule | tests |
|---|---|
`

// TestContractQuotes reads every text of the tree, not only tests: a number that is quoted must be there.
func TestContractQuotes(t *testing.T) {
	rules := contractRules(t, contractPage)
	for _, file := range texts(t, "..") {
		if file.path == "caddymodule/contract_test.go" {
			continue
		}
		ids, err := quotes(unwrap(file.text))
		if err != nil {
			t.Errorf("%s: %v", file.path, err)
		}
		for _, id := range ids {
			if _, ok := rules[id]; !ok {
				t.Errorf("%s quotes contract %s, which docs/contract.md does not have", file.path, id)
			}
		}
	}
}

// upToDate compares a generated page with what is there, or writes it.
func upToDate(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go test ./caddymodule -run '%s' -update", strings.TrimPrefix(file, "../"), t.Name())
	}
}

// contractRule is a row of a table of docs/contract.md.
type contractRule struct {
	text    string
	planned bool
}

var ruleRow = regexp.MustCompile(`^\| (\d)\.(\d+) \| (.*) \|$`)

func contractRules(t *testing.T, file string) map[ruleID]contractRule {
	t.Helper()
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rules := make(map[ruleID]contractRule)
	for line := range strings.SplitSeq(string(page), "\n") {
		m := ruleRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		id := ruleID{number(m[1]), number(m[2])}
		if _, twice := rules[id]; twice {
			t.Errorf("docs/contract.md has %s twice", id)
		}
		rules[id] = contractRule{text: m[3], planned: strings.Contains(m[3], "*planned*")}
	}
	if len(rules) < 100 {
		t.Fatalf("docs/contract.md has only %d rules: it was not read", len(rules))
	}
	return rules
}

// number is for digits that a pattern has found.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}

var (
	quotePattern = regexp.MustCompile(`\b[Cc]ontract (\d\.\d+(?:(?:, and |, | and | to )\d\.\d+)*)`)
	bareSection  = regexp.MustCompile(`\b[Cc]ontract \d(?:[^.\d]|$|\.(?:\D|$))`)
	quoteRange   = regexp.MustCompile(`(\d)\.(\d+)(?: to (\d)\.(\d+))?`)
)

// quotes lists the rules that a text quotes.
func quotes(text string) ([]ruleID, error) {
	var ids []ruleID
	if bare := bareSection.FindString(text); bare != "" {
		return nil, fmt.Errorf("%q names no rule: write its number, or contract section N", bare)
	}
	for _, list := range quotePattern.FindAllStringSubmatch(text, -1) {
		for _, m := range quoteRange.FindAllStringSubmatch(list[1], -1) {
			from := ruleID{number(m[1]), number(m[2])}
			ids = append(ids, from)
			if m[3] == "" {
				continue
			}
			to := ruleID{number(m[3]), number(m[4])}
			if to.section != from.section || to.place <= from.place {
				return nil, fmt.Errorf("contract %s to %s is no range", from, to)
			}
			for place := from.place + 1; place <= to.place; place++ {
				ids = append(ids, ruleID{from.section, place})
			}
		}
	}
	return ids, nil
}

var lineBreak = regexp.MustCompile(`[ \t]*\n[ \t]*(?://|#|--|\*)?[ \t]*`)

// unwrap joins the lines of a comment, over which a quote may go.
func unwrap(text string) string { return lineBreak.ReplaceAllString(text, " ") }

// quoted says that a test of a directory quotes a rule.
type quoted struct {
	rule      ruleID
	dir, test string
}

// testQuotes reads the quotes of tests, of Go and of JavaScript.
func testQuotes(t *testing.T, root string) []quoted {
	t.Helper()
	var all []quoted
	add := func(file, test, text string) {
		ids, err := quotes(unwrap(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, id := range ids {
			all = append(all, quoted{id, path.Dir(file), test})
		}
	}
	for _, f := range parseTree(t, root) {
		if !f.isTest() || strings.HasPrefix(f.path, "caddymodule/contract_test") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, f.path))
		if err != nil {
			t.Fatal(err)
		}
		at := func(pos token.Pos) int { return int(pos - f.ast.FileStart) }
		for _, d := range f.ast.Decls {
			name, doc := declared(d)
			from := d.Pos()
			if doc != nil {
				from = doc.Pos()
			}
			add(f.path, name, string(text[at(from):at(d.End())]))
		}
	}
	scripts, err := filepath.Glob(filepath.Join(root, "caddymodule/integration/e2e/tests/*.mjs"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no tests in JavaScript were found, %v", err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		add("caddymodule/integration/e2e/tests/"+filepath.Base(script), filepath.Base(script), string(text))
	}
	return all
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)`)

// declared returns the name that a declaration has in the index, and its comment.
func declared(d ast.Decl) (string, *ast.CommentGroup) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && testName.MatchString(d.Name.Name) {
			return d.Name.Name, d.Doc
		}
		return "(" + d.Name.Name + ")", d.Doc
	case *ast.GenDecl:
		if len(d.Specs) == 0 {
			return "()", d.Doc
		}
		switch spec := d.Specs[0].(type) {
		case *ast.ValueSpec:
			return "(" + spec.Names[0].Name + ")", d.Doc
		case *ast.TypeSpec:
			return "(" + spec.Name.Name + ")", d.Doc
		}
		return "()", d.Doc
	}
	return "()", nil
}

func TestQuotes(t *testing.T) {
	for text, want := range map[string]string{
		"contract 7.2":                         "[7.2]",
		"Contract 7.2: at the start":           "[7.2]",
		"contract 2.3, 2.5 and 9.6: a list":    "[2.3 2.5 9.6]",
		"contract 3.4 to 3.6, RFC 7515":        "[3.4 3.5 3.6]",
		"(contract 3.9,\n\t// 3.10)":           "[3.9 3.10]",
		"contract\n// 7.5":                     "[7.5]",
		"contract section 5 has no rule of it": "[]",
		"a subcontract1 7.2, 7.3":              "[]",
	} {
		got, err := quotes(unwrap(text))
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q quotes %v, %v, want %s", text, got, err, want)
		}
	}
	for _, wrong := range []string{"contract 3.4 to 4.1", "contract 3.4 to 3.4", "contract 5: a status", "contract 5, 6.1", "of contract 5."} {
		if got, err := quotes(wrong); err == nil {
			t.Errorf("%q quotes %v", wrong, got)
		}
	}
}

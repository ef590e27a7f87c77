//go:build e2e

package manual

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// step is one command of a console block with what is printed below it.
type step struct {
	page    string
	line    int
	command string
	output  []string
}

func (s step) at() string { return fmt.Sprintf("%s:%d", s.page, s.line) }

var heredoc = regexp.MustCompile(`<<'?([A-Z]+)'?`)

// steps reads a console block: commands follow `$ `, go on after a backslash or a bar at the end of a line and in here-documents,
// and everything else is output.
func steps(b block) ([]step, error) {
	var all []step
	lines := strings.Split(strings.TrimSuffix(b.text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			if len(all) == 0 {
				return nil, fmt.Errorf("%s: output without a command: begin with `$ `", b.at(i))
			}
			all[len(all)-1].output = append(all[len(all)-1].output, lines[i])
			continue
		}
		s := step{page: b.page, line: b.line + i}
		for (strings.HasSuffix(command, "\\") || strings.HasSuffix(command, "|")) && i+1 < len(lines) {
			i++
			command += "\n" + lines[i]
		}
		if end := heredoc.FindStringSubmatch(command); end != nil {
			for closed := false; !closed; {
				if i++; i == len(lines) {
					return nil, fmt.Errorf("%s: the here-document is not closed by %s", s.at(), end[1])
				}
				command += "\n" + lines[i]
				closed = lines[i] == end[1]
			}
		}
		s.command = command
		all = append(all, s)
	}
	return all, nil
}

// how output is compared.
type comparison int

const (
	// exact: what is printed is all that was said. Figures may be others, `...` stands for anything, and a line of it for lines.
	exact comparison = iota
	// among: the same, with more lines before, between and after.
	among
	// anywhere: as among, in any order.
	anywhere
	// shape: headings of tables are the same, and so are the words in front of values; the rest may be anything.
	shape
	// nothing is compared: the rule of the command says why.
	nothing
)

var (
	digits = regexp.MustCompile(`[0-9]+(?:\\?[.,:][0-9]+)*`)
	// what differs each time although it has letters in it
	unique = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), |\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\b`)
)

// pattern makes a printed line a regular expression.
func pattern(printed string) *regexp.Regexp {
	text := unique.ReplaceAllString(strings.TrimSpace(printed), "...")
	text = regexp.QuoteMeta(text)
	text = strings.ReplaceAll(text, `\.\.\.`, ".*")
	text = digits.ReplaceAllString(text, `[0-9]+(?:[.,:][0-9]+)*`)
	text = regexp.MustCompile(`\s+`).ReplaceAllString(text, `\s+`)
	return regexp.MustCompile("^" + text + "$")
}

// compare returns what is printed and was not said.
func compare(how comparison, printed []string, said string) error {
	if how == nothing || len(printed) == 0 {
		return nil
	}
	rest := strings.Split(strings.TrimRight(strings.ReplaceAll(said, "\r", ""), "\n"), "\n")
	gap := how != exact
	for _, want := range printed {
		text := strings.TrimSpace(want)
		if text == "..." {
			gap = true
			continue
		}
		matches := func(got string) bool { return pattern(want).MatchString(strings.TrimSpace(got)) }
		if how == shape {
			switch heading, label := isHeading(want), label(want); {
			case heading:
				matches = func(got string) bool {
					return strings.Join(strings.Fields(got), " ") == strings.Join(strings.Fields(want), " ")
				}
			case label != "":
				matches = func(got string) bool { return strings.HasPrefix(got, label+" ") }
			default:
				continue
			}
		}
		found := false
		for i, got := range rest {
			if found = matches(got); found {
				if how != anywhere {
					rest = rest[i+1:]
				}
				break
			}
			if !gap && strings.TrimSpace(got) != "" {
				return fmt.Errorf("printed is %q, said was %q", want, got)
			}
		}
		if !found && text != "" {
			return fmt.Errorf("nothing like the line %q was said, or not in this order", want)
		}
		gap = how != exact
	}
	if more := strings.TrimSpace(strings.Join(rest, "\n")); !gap && more != "" {
		return fmt.Errorf("this was said and is not printed: %s", more)
	}
	return nil
}

// isHeading is whether a line has the names of columns.
func isHeading(text string) bool {
	return len(strings.Fields(text)) > 1 && strings.IndexFunc(text, unicode.IsLower) < 0 && !strings.ContainsAny(text, "0123456789")
}

var labelled = regexp.MustCompile(`^([A-Z][A-Za-z'-]*(?: [A-Za-z]+)*)  +\S`)

// label is the word in front of a value, as in `Location  eu-central-1`.
func label(text string) string {
	m := labelled.FindStringSubmatch(text)
	if m == nil || strings.ToUpper(m[1]) == m[1] {
		return ""
	}
	return m[1]
}

func TestSteps(t *testing.T) {
	got, err := steps(block{page: "x.md", line: 7, text: "$ one \\\n  two\nsaid\n$ cat <<END\nhere\nEND\n$ three\n"})
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].command != "one \\\n  two" || got[0].output[0] != "said" || got[1].command != "cat <<END\nhere\nEND" || got[2].line != 13 {
		t.Errorf("%+v", got)
	}
	if _, err := steps(block{text: "$ cat <<END\nhere\n"}); err == nil {
		t.Error("an open here-document is not found")
	}
	if _, err := steps(block{text: "output\n"}); err == nil {
		t.Error("output without a command is not found")
	}
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		how     comparison
		printed []string
		said    string
		same    bool
	}{
		"figures":            {exact, []string{"took 1,234 ms", "..."}, "took 7 ms\n", true},
		"spaces":             {exact, []string{"a   b"}, "a b\n", true},
		"more is said":       {exact, []string{"b"}, "b\nc\n", false},
		"less is printed":    {exact, []string{"b", "..."}, "b\nc\n", true},
		"one of many":        {among, []string{"b"}, "a\nb\nc\n", true},
		"another word":       {exact, []string{"valid configuration"}, "invalid configuration\n", false},
		"the order":          {exact, []string{"a", "b"}, "b\na\n", false},
		"a column":           {shape, []string{"REGION  STATE", "x  up"}, "REGION  STATE  SINCE\n", false},
		"columns":            {shape, []string{"REGION  STATE", "x  up"}, "REGION   STATE\ny  down\n", true},
		"a label":            {shape, []string{"Version  devel"}, "Versions  x\n", false},
		"a label and value":  {shape, []string{"Version  devel"}, "Version  x\n", true},
		"a missing module":   {exact, []string{"edge_functions"}, "edge_functions\nhttp.handlers.edge_functions\n", false},
		"an ellipsis inside": {exact, []string{"key  sb_publishable_..."}, "key sb_publishable_XYZ\n", true},
	} {
		if err := compare(c.how, c.printed, c.said); (err == nil) != c.same {
			t.Errorf("%s: %v", name, err)
		}
	}
}

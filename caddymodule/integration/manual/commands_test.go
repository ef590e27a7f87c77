//go:build e2e

package manual

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// action is what the test does with a command.
type action int

const (
	run   action = iota // in the session's shell, until it ends
	start               // in the background, until the page ends or a rule stops it
	names               // not at all: reason says why. What it names is looked up
)

// rule says what is done with the commands of a page that begin with its text.
type rule struct {
	command string
	do      action
	output  comparison
	code    int            // the exit code that it has to end with
	until   *regexp.Regexp // of start: what it says when it is up; nil waits for the admin endpoint
	reason  string         // of names
	before  func(s *session)
	after   func(s *session, said string)
}

// script is what the reader of a page does.
type script struct {
	page    string
	prepare func(s *session)
	// caddyfile is whether the first whole Caddyfile of the page is the file of that name.
	caddyfile bool
	// other blocks that are run: bash as it stands, js, yaml.
	blocks map[string]func(s *session, b block) error
	rules  []rule
}

// TestCommands follows each page that prints commands.
func TestCommands(t *testing.T) {
	for _, p := range papers(t) {
		at := slices.IndexFunc(scripts, func(s script) bool { return s.page == p.path })
		if at < 0 {
			for _, b := range p.blocks {
				if b.lang == "console" {
					t.Errorf("%s: no script follows this page: add one for %s to scripts in caddymodule/integration/manual/scripts_test.go", b.at(-1), p.path)
				}
			}
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			for _, err := range follow(newSession(t), p, scripts[at]) {
				t.Error(err)
			}
		})
	}
	for _, s := range scripts {
		if !slices.ContainsFunc(papers(t), func(p page) bool { return p.path == s.page }) {
			t.Errorf("there is no page %s: remove its script", s.page)
		}
	}
}

// follow does what a page says and returns what is not as it is printed.
func follow(s *session, p page, script script) (errs []error) {
	if script.prepare != nil {
		script.prepare(s)
	}
	used := make([]bool, len(script.rules))
	written := false
	for _, b := range p.blocks {
		switch {
		case b.lang == "caddyfile" && script.caddyfile && !written && strings.HasPrefix(b.text, "{\n") && !strings.Contains(b.text, "..."):
			s.write("Caddyfile", s.here(b.text))
			written = true
		case b.lang == "console":
			all, err := steps(b)
			if err != nil {
				errs = append(errs, err)
			}
			for _, step := range all {
				at := slices.IndexFunc(script.rules, func(r rule) bool { return strings.HasPrefix(step.command, r.command) })
				if at < 0 {
					errs = append(errs, fmt.Errorf("%s: no rule fits `%s`: add one to the script of %s in caddymodule/integration/manual/scripts_test.go: "+
						"run it, start it, or names with the reason why it cannot run in a test", step.at(), step.command, p.path))
					continue
				}
				used[at] = true
				if err := s.step(step, script.rules[at]); err != nil {
					errs = append(errs, err)
				}
			}
		case script.blocks[b.lang] != nil:
			if err := script.blocks[b.lang](s, b); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", b.at(0), err))
			}
		}
	}
	for i, r := range script.rules {
		if !used[i] {
			errs = append(errs, fmt.Errorf("%s has no command that begins with `%s`: remove its rule, or mend the page", p.path, r.command))
		}
	}
	return errs
}

// step does one command.
func (s *session) step(st step, r rule) error {
	if r.before != nil {
		r.before(s)
	}
	command := s.here(st.command)
	var said string
	var err error
	switch r.do {
	case run:
		var code int
		if said, code, err = s.run(command); err == nil && code != r.code {
			err = fmt.Errorf("exit code %d, not %d", code, r.code)
		}
	case start:
		said, err = s.start(command, r.until)
	case names:
		if r.reason == "" {
			err = fmt.Errorf("the rule does not say why the command is not run")
		}
		return cmp.Or(err, at(st, checkNames(build(s.t), st.command)))
	}
	if err == nil {
		var printed []string
		for _, l := range st.output {
			printed = append(printed, s.here(l))
		}
		err = compare(r.output, printed, said)
	}
	if err != nil {
		return fmt.Errorf("%s: `%s`: %w\n--- it said\n%s", st.at(), st.command, err, lastLines(said, 20))
	}
	if r.after != nil {
		r.after(s, said)
	}
	return nil
}

func at(st step, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: `%s`: %w", st.at(), st.command, err)
}

//go:build e2e

package manual

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// rooms say in which block an option of a fragment stands. A Caddyfile that is printed as a whole, or a whole site, needs none.
var rooms = map[string]string{
	"region": "edge_functions", "locate": "edge_functions", "rate_limit": "edge_functions", "plan": "edge_functions", "store": "edge_functions",
	"projects": "edge_functions", "export": "edge_functions", "project": "edge_functions",
	"function": "project", "domain": "project", "jwt_secret": "project", "api_key": "project",
}

// values of the variables that Caddyfiles name, beside those of configs/example.env.
var values = map[string]string{
	"REDIS_PASSWORD": "redis-password", "OPENMETER_TOKEN": "om-token", "DEBUG_SECRET": "0123456789abcdef0123456789abcdef",
}

const (
	anyRegion  = "region eu-central-1 {\nbackend http://127.0.0.1:9000\n}\n"
	anyProject = "project default {\njwt_secret {env.JWT_SECRET}\nfunction *\n}\n"
	anySite    = "http://localhost:8000 {\nedge_functions\n}\n"
)

var (
	placeholder = regexp.MustCompile(`<[a-z][a-z :]*(\.\.\.)?>`)
	// comments may stand below each other on a page
	beforeComment = regexp.MustCompile(`  +#`)
	variable      = regexp.MustCompile(`\{(?:env\.|\$)([A-Z][A-Z0-9_]*)`)
)

// isGrammar is whether a block shows what may be written, with <names> for what is to be put in.
func isGrammar(b block) bool { return placeholder.MatchString(b.text) }

// node is a line of a Caddyfile with the block behind it.
type node struct {
	words string // without the brace
	body  []node
	block bool
}

// parseNodes reads lines as nodes; `...` stands for what is left out.
func parseNodes(lines []string) (nodes []node, rest []string, err error) {
	for len(lines) > 0 {
		text := strings.TrimSpace(lines[0])
		lines = lines[1:]
		switch {
		case text == "" || text == "..." || strings.HasPrefix(text, "#"):
		case text == "}":
			return nodes, lines, nil
		case strings.HasSuffix(text, "{"):
			n := node{words: strings.TrimSpace(strings.TrimSuffix(text, "{")), block: true}
			if n.body, lines, err = parseNodes(lines); err != nil {
				return nil, nil, err
			}
			nodes = append(nodes, n)
		default:
			nodes = append(nodes, node{words: text})
		}
	}
	return nodes, nil, nil
}

func write(nodes []node) string {
	var text strings.Builder
	for _, n := range nodes {
		switch {
		case n.block:
			fmt.Fprintf(&text, "%s {\n%s}\n", n.words, write(n.body))
		default:
			fmt.Fprintf(&text, "%s\n", n.words)
		}
	}
	return text.String()
}

func (n node) name() string {
	name, _, _ := strings.Cut(n.words, " ")
	return name
}

func find(nodes []node, name string) int {
	return slices.IndexFunc(nodes, func(n node) bool { return n.name() == name })
}

// whole makes a Caddyfile of a printed one or of a fragment.
func whole(b block) (string, error) {
	nodes, _, err := parseNodes(strings.Split(b.text, "\n"))
	if err != nil || len(nodes) == 0 {
		return "", fmt.Errorf("%s: not a Caddyfile: %v", b.at(0), err)
	}
	var global, sites, options []node
	for _, n := range nodes {
		room := rooms[n.name()]
		switch {
		case n.block && n.words == "":
			global = n.body
		case n.block && strings.ContainsAny(n.name(), ":/.("):
			sites = append(sites, n)
		case room == "edge_functions":
			options = append(options, n)
		case room == "project":
			if at := find(options, "project"); at >= 0 {
				options[at].body = append(options[at].body, n)
			} else {
				options = append(options, node{words: "project default", block: true, body: []node{n}})
			}
		default:
			return "", fmt.Errorf("%s: in which block does %q stand? Print the whole Caddyfile, or add the option to rooms in "+
				"caddymodule/integration/manual/caddyfile_test.go", b.at(0), n.name())
		}
	}
	own := find(global, "edge_functions")
	if own < 0 {
		global = append(global, node{words: "edge_functions", block: true})
		own = len(global) - 1
	}
	body := append(slices.Clone(global[own].body), options...)
	if find(body, "region") < 0 {
		more, _, _ := parseNodes(strings.Split(anyRegion, "\n"))
		body = append(more, body...)
	}
	if find(body, "project") < 0 && find(body, "projects") < 0 {
		more, _, _ := parseNodes(strings.Split(anyProject, "\n"))
		body = append(body, more...)
	}
	global[own].body = body
	text := "{\n" + write(global) + "}\n" + write(sites)
	if len(sites) == 0 {
		text += anySite
	}
	return text, nil
}

// environment has the variables that text names, of configs/example.env and of values.
func environment(text string) ([]string, error) {
	known := maps.Clone(values)
	example, err := os.ReadFile(filepath.Join(root, "configs", "example.env"))
	if err != nil {
		return nil, err
	}
	for l := range strings.Lines(string(example)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(l), "="); ok && !strings.HasPrefix(l, "#") {
			known[name] = value
		}
	}
	var env []string
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		value, ok := known[m[1]]
		if !ok {
			return nil, fmt.Errorf("the variable %s has no value: add it to configs/example.env, or to values in caddymodule/integration/manual/caddyfile_test.go", m[1])
		}
		env = append(env, m[1]+"="+value)
	}
	return env, nil
}

// checkCaddyfile validates what a block prints with the real binary.
func checkCaddyfile(binary, dir string, b block) error {
	printed := beforeComment.ReplaceAllString(b.text, " #")
	if formatted := string(caddyfile.Format([]byte(b.text))); formatted != printed && !strings.Contains(b.text, "\n\t...") {
		return fmt.Errorf("%s: `edgegate fmt` would write it so:\n%s", b.at(0), formatted)
	}
	text, err := whole(b)
	if err != nil {
		return err
	}
	env, err := environment(text)
	if err != nil {
		return fmt.Errorf("%s: %w", b.at(0), err)
	}
	file := filepath.Join(dir, fmt.Sprintf("Caddyfile-%s-%d", strings.ReplaceAll(b.page, "/", "-"), b.line))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(binary, "validate", "--adapter", "caddyfile", "--config", file)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: the Caddyfile is not valid: %s\n--- validated was\n%s", b.at(0), lastLines(string(out), 3), text)
	}
	return nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// TestCaddyfiles validates each Caddyfile that is printed, and looks up the options of each grammar.
func TestCaddyfiles(t *testing.T) {
	binary := build(t)
	dir := t.TempDir()
	checked, grammars := 0, 0
	for _, p := range papers(t) {
		for _, b := range p.blocks {
			switch {
			case b.lang != "caddyfile":
			case isGrammar(b):
				grammars++
				for _, err := range checkGrammar(b) {
					t.Error(err)
				}
			default:
				checked++
				if err := checkCaddyfile(binary, dir, b); err != nil {
					t.Error(err)
				}
			}
		}
	}
	if checked < 12 || grammars < 4 {
		t.Errorf("only %d Caddyfiles and %d grammars were found", checked, grammars)
	}
}

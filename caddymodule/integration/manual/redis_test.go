//go:build e2e

package manual

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edgegate/edgegate/ratelimit/redisconn/redistest"
)

// TestRedisUser gives a gateway the user that docs/counting.md prints, and nothing else: it does its work without a refusal, and each key
// that it makes is in the page's table.
func TestRedisUser(t *testing.T) {
	all := papers(t)
	p := all[slices.IndexFunc(all, func(p page) bool { return p.path == "docs/counting.md" })]
	at := slices.IndexFunc(p.blocks, func(b block) bool { return strings.HasPrefix(b.text, "ACL SETUSER ") })
	if at < 0 {
		t.Fatal("docs/counting.md prints no `ACL SETUSER`")
	}
	var known []*regexp.Regexp
	for _, l := range p.prose {
		if cell := regexp.MustCompile("^\\| ((?:`(?:gw|edge):[^`]+`(?:, )?)+) \\|").FindStringSubmatch(l.text); cell != nil {
			for name := range strings.SplitSeq(cell[1], ", ") {
				pattern := strings.NewReplacer("NN", `\d\d`, "INSTANCE", "[0-9a-f]+", "HASH", "[0-9a-f]+").Replace(regexp.QuoteMeta(strings.Trim(name, "`")))
				known = append(known, regexp.MustCompile("^"+pattern+"$"))
			}
		}
	}

	server := redistest.Single(t)
	do := server.Exec
	var user []any
	for word := range strings.FieldsSeq(p.blocks[at].text) {
		user = append(user, word)
	}
	do(user...)
	do("HSET", "edge:{projects}:organizations", "acme", `{"plan":"pro"}`)
	do("HSET", "edge:{projects}:projects", ref, `{"organization":"acme","domains":["localhost"],"functions":[{"slug":"hello","verify_jwt":false}]}`)

	s := newSession(t)
	s.gatewayOf(fmt.Sprintf("projects redis\nstore redis redis://%s:PASSWORD@%s %s/.store\nrate_limit project 1/h burst 1000\nexport webhook http://127.0.0.1:1/usage {\nname billing\n}",
		user[2], server.Address, s.dir))
	served := func(slug string) func() bool {
		return func() bool { return s.answers("http://localhost:" + s.port + "/functions/v1/" + slug) }
	}
	if err := s.wait("a call is served", served("hello"), nil); err != nil {
		t.Error(err)
	}
	do("HSET", "edge:{projects}:projects", ref, `{"organization":"acme","domains":["localhost"],"functions":[{"slug":"new","verify_jwt":false}]}`)
	do("PUBLISH", "edge:{projects}:changed", "")
	if err := s.wait("a change is in force", served("new"), nil); err != nil {
		t.Error(err)
	}
	for _, command := range []string{
		"edgegate quota set acme 3000000", "edgegate drain eu-central-1", "edgegate undrain eu-central-1", "edgegate usage show",
		"edgegate usage push", "edgegate usage reconcile", "edgegate audit --min-severity high", "edgegate projects list",
	} {
		if said, code, err := s.run(command); err != nil || code != 0 {
			t.Errorf("%s: exit code %d, %v: %s", command, code, err, said)
		}
	}
	// what takes a moment; the rest of the table comes with hours that end
	for _, key := range []string{"gw:meta", "gw:instances", "gw:limits", "gw:secret", "gw:exporters", "edge:{fleet}:gateways"} {
		if err := s.wait("there is a key "+key, func() bool { return do("EXISTS", key) == int64(1) }, nil); err != nil {
			t.Error(err)
		}
	}
	s.stop()
	if refused := do("ACL", "LOG").([]any); len(refused) > 0 {
		t.Errorf("Redis refused the user of the page: %v", refused)
	}
	for _, key := range do("KEYS", "*").([]any) {
		if !slices.ContainsFunc(known, func(k *regexp.Regexp) bool { return k.MatchString(key.(string)) }) {
			t.Errorf("%s is not in the table of docs/counting.md", key)
		}
	}
}

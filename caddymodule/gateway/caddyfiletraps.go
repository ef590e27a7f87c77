package gateway

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/routing"
	"github.com/edgegate/edgegate/routing/projects"
)

// warnOfTraps finds what is valid and yet reaches no function: a matcher of the
// prefix alone, and whatever takes the prefix away before.
func warnOfTraps(at caddyfile.Token, matcher caddy.ModuleMap) {
	var paths []string
	if json.Unmarshal(matcher["path"], &paths) == nil && len(paths) > 0 {
		alone := func(path string) bool { return strings.TrimSuffix(path, "/") == routing.Prefix }
		if slices.ContainsFunc(paths, alone) && !slices.ContainsFunc(paths, func(path string) bool { return strings.Contains(path, "*") }) {
			options.Warn(at.File, at.Line, "edge_functions: the matcher "+strings.Join(paths, " ")+
				" is that path alone, so no function is reached; write `edge_functions /functions/v1/*`")
		}
	}
	own := options.StatementAt(at, "edge_functions")
	if own == nil {
		return
	}
	for block := own.Parent; block != nil; block = block.Parent {
		for _, beside := range block.Inner {
			if len(beside.Words) > 2 && beside.Words[0] == "uri" && strips(beside.Words[len(beside.Words)-2:]) {
				options.Warn(at.File, beside.Line, fmt.Sprintf("uri strip_prefix: takes %s away before edge_functions sees the path, so every call is 404; remove the line, "+
					"functions get their paths without the prefix by themselves", routing.Prefix))
			}
		}
		if len(block.Words) > 1 && block.Words[0] == "handle_path" && prefixOf(block.Words[1]) {
			options.Warn(at.File, block.Line, fmt.Sprintf("handle_path %s: takes %s away before edge_functions sees the path, so every call is 404; write `handle /functions/v1/*`, "+
				"or `edge_functions /functions/v1/*` without a block round it", block.Words[1], routing.Prefix))
		}
	}
}

func strips(words []string) bool { return words[0] == "strip_prefix" && prefixOf(words[1]) }

// prefixOf reports whether taking a path away leaves less than the prefix.
func prefixOf(path string) bool {
	path = strings.TrimRight(path, "*")
	path = strings.TrimSuffix(path, "/")
	return path != "" && (path == routing.Prefix || strings.HasPrefix(routing.Prefix, path+"/") || strings.HasPrefix(path, routing.Prefix+"/"))
}

// warnOfNoCredentials finds a project whose functions want a token that nothing
// can be verified with.
func (p *Project) warnOfNoCredentials(at *caddyfile.Dispenser) {
	verified := slices.ContainsFunc(p.Functions, func(f projects.FunctionConfig) bool { return f.VerifyJWT == nil || *f.VerifyJWT })
	tokens := p.JWT != nil && (p.JWT.Secret != "" || len(p.JWT.Secrets)+len(p.JWT.JWKS) > 0 || p.JWT.JWKSFile != "" || p.JWT.JWKSURL != "")
	if verified && !tokens && len(p.LaterKeys)+len(p.APIKeys) == 0 {
		options.Warn(at.File(), at.Line(), "project default: it has neither jwt_secret, jwks nor api_key, so every call of a function with verify_jwt on is 401; "+
			"write `jwt_secret {env.JWT_SECRET}`, or `verify_jwt off` in the functions that anyone may call")
	}
}

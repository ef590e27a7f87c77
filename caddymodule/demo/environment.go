package demo

import (
	"encoding/json"
	"os"
)

// localDatabase is the address at which Supabase's command line runs a project's database. The demo has no database of its own;
// SUPABASE_DB_URL overrides the address.
const localDatabase = "postgresql://postgres:postgres@127.0.0.1:54322/postgres" //nolint:gosec // the password of every local Supabase

// environment returns a function's environment variables, as in Supabase's runtime; later entries win, so DIR/.env beats the demo's own environment,
// and the demo's variables beat both.
func (d *denoRuntime) environment(p *project, region string, f denoFunction, address, execution string) []string {
	database := localDatabase
	if url := os.Getenv("SUPABASE_DB_URL"); url != "" {
		database = url
	}
	k := d.config.keys
	env := append(os.Environ(), p.env...)
	return append(env,
		"SUPABASE_URL="+d.config.url,
		"SUPABASE_DB_URL="+database,
		"SUPABASE_ANON_KEY="+k.anon,
		"SUPABASE_SERVICE_ROLE_KEY="+k.serviceRole,
		"SUPABASE_PUBLISHABLE_KEYS="+named(k.publishable),
		"SUPABASE_SECRET_KEYS="+named(k.secret),
		`SUPABASE_JWKS={"keys":[]}`, // its tokens are signed with a secret
		"SB_REGION="+region,
		"SB_EXECUTION_ID="+execution,
		"DENO_DEPLOYMENT_ID=default_"+f.slug+"_1",
		"DENO_SERVE_ADDRESS=tcp:"+address,
	)
}

// named is the one API key of a kind as functions get it: an object of name and key.
func named(key string) string {
	text, _ := json.Marshal(map[string]string{"default": key}) // strings always marshal
	return string(text)
}

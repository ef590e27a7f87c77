package gateway

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// refused loads a configuration as validate does and returns its error.
func refused(t *testing.T, config []byte) string {
	t.Helper()
	var c caddy.Config
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatalf("%v in %s", err, config)
	}
	if err := caddy.Validate(&c); err != nil {
		return err.Error()
	}
	return ""
}

const someHash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

// TestConfigInJSON is about what a Caddyfile cannot express: everybody who writes JSON gets the same checks.
func TestConfigInJSON(t *testing.T) {
	t.Setenv("EDGEGATE_KEY", "sb_secret_from_the_environment")
	const regionsJSON = `"regions":[{"name":"us-east-1","backends":["http://127.0.0.1:9"]}]`
	t.Setenv("EDGEGATE_JWKS", `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)
	app := func(members string) string { return strings.Replace(goodApp, `{`, `{`+members+`,`, 1) }
	project := func(members string) string {
		return `{` + regionsJSON + `,"project":{` + members + `}}`
	}
	tests := map[string]struct{ app, want string }{
		"good":                              {goodApp, ""},
		"key by its hash":                   {project(`"api_keys":[{"type":"secret","sha256":"` + someHash + `"}]`), ""},
		"secrets without a first":           {project(`"jwt":{"secrets":["a-secret-of-enough-bytes-for-hs256-0123456789"]}`), ""},
		"unknown field of the app":          {strings.Replace(goodApp, `{`, `{"plan":{},`, 1), `unknown field "plan"`},
		"unknown field of a region":         {strings.Replace(goodApp, `"name"`, `"capacities":1,"name"`, 1), `unknown field "capacities"`},
		"unknown field of location":         {strings.Replace(goodApp, `"region":`, `"city":"x","region":`, 1), `unknown field "city"`},
		"unknown field of project":          {project(`"quotas":1`), `unknown field "quotas"`},
		"unknown field of jwt":              {project(`"jwt":{"jwks_uri":"https://auth.example.com"}`), `unknown field "jwks_uri"`},
		"unknown field of a key":            {project(`"api_keys":[{"type":"secret","value":"x"}]`), `unknown field "value"`},
		"unknown field of function":         {project(`"functions":[{"slug":"a","websocket":"query"}]`), `unknown field "websocket"`},
		"unknown field of cors":             {project(`"cors":{"max_age":1}`), `unknown field "max_age"`},
		"no regions":                        {`{"project":{}}`, "no regions: add `region NAME"},
		"no project":                        {`{` + regionsJSON + `}`, "no project: add `project default { ... }`"},
		"region of no place":                {strings.ReplaceAll(goodApp, "us-east-1", "lab"), `region "lab": the place of this name is not known: add`},
		"wrong backend":                     {strings.Replace(goodApp, "http://127.0.0.1:9", "127.0.0.1:9", 1), `region "us-east-1": backend "127.0.0.1:9": the scheme is missing, as in http://127.0.0.1:9`},
		"nearest to nobody":                 {strings.Replace(goodApp, `{`, `{"nearest":{"from":"moon"},`, 1), `nearest: "moon": allowed are gateway, client`},
		"a detour of the gateway's":         {strings.Replace(goodApp, `{`, `{"nearest":{"max_detour":"30ms"},`, 1), "max_detour is for `nearest client`"},
		"a status that is none":             {strings.Replace(goodApp, `{`, `{"retry":{"status":[200]},`, 1), "retry_status 200: must be a status from 400 to 599"},
		"a store of nobody's":               {strings.Replace(goodApp, `{`, `{"store":{"kind":"disk"},`, 1), `store "disk": allowed are embedded, redis`},
		"tls for plain backends":            {strings.Replace(goodApp, `"name"`, `"tls":{"server_name":"x"},"name"`, 1), "tls: the region has no https backend"},
		"negative idle_timeout":             {strings.Replace(goodApp, `{`, `{"idle_timeout":-1,`, 1), "idle_timeout and max_body must not be negative"},
		"negative max_body":                 {strings.Replace(goodApp, `{`, `{"max_body":-1,`, 1), "idle_timeout and max_body must not be negative"},
		"apex with scheme":                  {strings.Replace(goodApp, `{`, `{"apex":"https://example.com",`, 1), `apex "https://example.com": must be a bare host name`},
		"location of latitude only":         {strings.Replace(goodApp, `"region":"eu-central-1"`, `"latitude":1`, 1), "latitude"},
		"location in both ways":             {strings.Replace(goodApp, `"region":"eu-central-1"`, `"region":"eu-central-1","latitude":1,"longitude":1`, 1), "location: give a region or coordinates, not both"},
		"location off the globe":            {strings.Replace(goodApp, `"region":"eu-central-1"`, `"latitude":91,"longitude":1`, 1), "location: "},
		"negative wall_clock":               {project(`"wall_clock":-1`), `must be a duration such as "150s"`},
		"residency elsewhere":               {project(`"regions":["us-east-2"]`), `project default: regions: "us-east-2" is not configured (did you mean "us-east-1"?)`},
		"placeholder as a domain":           {project(`"domains":["{env.EDGEGATE_KEY}"]`), `domains[0]: "{env.EDGEGATE_KEY}": placeholders are filled in only in keys and secrets`},
		"weak secret":                       {project(`"jwt":{"secret":"hunter2-hunter2"}`), "project default: jwt.secret: it has 15 bytes, HS256 needs at least 32"},
		"weak secret after a good":          {project(`"jwt":{"secret":"a-secret-of-enough-bytes-for-hs256-0123456789","secrets":["hunter2-hunter2"]}`), "project default: jwt.secrets[0]: it has 15 bytes"},
		"empty secret in the list":          {project(`"jwt":{"secrets":[""]}`), "project default: jwt.secrets[0]: must not be empty"},
		"key without text":                  {project(`"api_keys":[{"type":"secret"}]`), "project default: api_keys[0]: has neither key nor sha256"},
		"key of no type":                    {project(`"api_keys":[{"key":"hunter2-hunter2"}]`), "project default: api_keys[0].type: the type is publishable or secret"},
		"key as the type":                   {project(`"api_keys":[{"type":"hunter2-hunter2","key":"secret"}]`), "project default: api_keys[0].type: the type is publishable or secret"},
		"key and hash":                      {project(`"api_keys":[{"type":"secret","key":"hunter2-hunter2-hunter2","sha256":"` + someHash + `"}]`), "project default: api_keys[0]: it has both the key and its SHA-256, one is enough"},
		"hash of letters":                   {project(`"api_keys":[{"type":"secret","sha256":"hunter2-hunter2"}]`), "project default: api_keys[0].sha256: must be 64 hexadecimal digits"},
		"hash that is too short":            {project(`"api_keys":[{"type":"secret","sha256":"abcd"}]`), "project default: api_keys[0].sha256: must be 64 hexadecimal digits"},
		"one key in two ways":               {project(`"api_keys":[{"type":"secret","key":"{env.EDGEGATE_KEY}"},{"type":"secret","key":"sb_secret_from_the_environment"}]`), "project default: api_keys[1]: is the same key as api_keys[0], remove one"},
		"null in a list of keys":            {project(`"api_keys":[null]`), "project.api_keys[0]: null is no value"},
		"null in a list of regions":         {`{"regions":[null],"project":{}}`, "regions[0]: null is no value"},
		"a client's header of no such name": {app(`"locate":{"headers":["a b"]}`), `locate: header "a b": no header has such a name`},
		"a database of nobody":              {app(`"locate":{"mmdb":["/nowhere/places.mmdb"]}`), ""}, // an error when it starts
		"a debug secret that is short":      {app(`"debug_secret":"hunter2"`), "debug_secret: it is too short"},
		"a debug secret that is unset":      {app(`"debug_secret":"{env.EDGEGATE_UNSET}"`), "debug_secret: "},
		"too many limits":                   {app(`"rate_limits":[` + strings.TrimSuffix(strings.Repeat(`{"scope":"project","count":1,"window":"1s"},`, 9), ",") + `]`), "rate_limit: 9 are too many, at most 8 are possible"},
		"a limit in a mode of nobody's":     {app(`"rate_limits":[{"scope":"project","count":1,"window":"1s","mode":"sharde"}]`), `rate_limit: mode "sharde": allowed are local, shared, strict (did you mean "shared"?)`},
		"a limit of nobody":                 {app(`"rate_limits":[{}]`), `rate_limit: "": allowed are project, function, client_ip, subject`},
		"a limit of nothing":                {app(`"rate_limits":[{"scope":"project","count":0,"window":"1s"}]`), "rate_limit: the count must be from 1"},
		"two limits of two windows":         {app(`"rate_limits":[{"scope":"project","count":1,"window":"1s"},{"scope":"project","count":9,"window":"1m"}]`), ""},
		"a share of more than all":          {app(`"capacity_share":101`), "capacity_share: must be from 1 to 100, in percent"},
		"more top projects than allowed":    {app(`"top_projects":201`), "top_projects: must be a whole number from 0 to 200"},
		"top projects below none":           {app(`"top_projects":-1`), "top_projects: must be a whole number from 0 to 200"},
		"top projects without counts":       {app(`"top_projects":5,"request_metrics":false`), "top_projects: `request_metrics off` counts no requests; remove one of the two"},
		"more traces than all":              {app(`"tracing":{"sample":101}`), "tracing: sample: must be above 0 and at most 100, in percent"},
		"a sample of more than all":         {app(`"invocation_log":{"sample":101}`), "invocation_log: sample: must be above 0 and at most 100, in percent"},
		"a sample of less than none":        {app(`"invocation_log":{"sample":-1}`), "invocation_log: sample: must be above 0 and at most 100, in percent"},
		"a plan of no weight":               {app(`"plans":{"own":{"weight":-1}}`), "plan own: weight: must be from 1 to 1000"},
		"a cap below nothing":               {app(`"in_flight":{"function":-1}`), "in_flight: function: must be a number from 1"},
		"a currency of nowhere":             {app(`"currency":"EURO"`), `currency "EURO": must be a code of ISO 4217`},
		"memory without its unit":           {app(`"memory":{"tokens":64}`), "memory tokens: 64 bytes are too few, it must be at least 1MiB"},
		"a spill below nothing":             {app(`"nearest":{"max_spill":-1}`), "nearest: max_spill and max_detour must not be negative"},
		"a kept body that is too large":     {app(`"retry":{"body":2000000}`), "retry_body: must be at most 1MiB"},
		"a Redis of an unset variable":      {app(`"store":{"kind":"redis","url":"redis://:{env.EDGEGATE_UNSET}@127.0.0.1:1"}`), "store redis: the environment variable EDGEGATE_UNSET is not set or empty"},
		"a Redis whose URL is none":         {app(`"store":{"kind":"redis","url":"http://127.0.0.1:1"}`), "store redis: "},
		"a Redis of nowhere":                {app(`"store":{"kind":"redis"}`), "store redis: the URL is missing"},
		"a directory with a URL":            {app(`"store":{"kind":"embedded","url":"redis://127.0.0.1"}`), "store embedded: it has no URL"},
		"a ledger that is synced sometimes": {app(`"store":{"kind":"embedded","sync":"often"}`), `store: sync "often": allowed are none, group, strict`},
		"projects in both ways":             {app(`"projects":{"source":"text","text":""}`), "projects: there is a `project` too; keep one of them"},
		"a source of nobody's":              {`{` + regionsJSON + `,"projects":{"source":"stone"}}`, "unknown module: edge_functions.projects.stone"},
		"a source that is not as it must":   {`{` + regionsJSON + `,"projects":{"source":"text","text":"{"}}`, "projects text text: "},
		"half of a pair":                    {strings.Replace(goodApp, `"name"`, `"tls":{"certificate":"a.pem"},"name"`, 1), "tls: give a certificate and its key, not one of them"},
		"keys that are unset":               {project(`"jwks_env":["{env.EDGEGATE_UNSET}"]`), "project default: jwks {env.EDGEGATE_UNSET}: "},
		"keys of the environment":           {project(`"jwt":{"issuer":"me"},"jwks_env":["{env.EDGEGATE_JWKS}"]`), ""},
		"keys in one way twice":             {project(`"jwks_env":["{env.EDGEGATE_JWKS}","{env.EDGEGATE_JWKS}"]`), "project default: jwks {env.EDGEGATE_JWKS}: given twice in the same way"},
		"a plan of nobody's":                {project(`"plan":"por"`), `project default: plan: unknown plan "por": allowed are enterprise, free, pro, team`},
		"two exporters that are one":        {app(`"exporters":[{"exporter":"kept"},{"exporter":"kept"}]`), "export kept: given twice, keep one"},
		"an exporter of nobody's":           {app(`"exporters":[{"exporter":"stone"}]`), "export: "},
		"an exporter that cannot deliver":   {app(`"exporters":[{"exporter":"mute"}]`), "export: *gateway.muteExporter is neither a usage.Deliverer nor a usage.Service"},
		"an exporter that is none":          {app(`"exporters":[{"exporter":"alien"}]`), "export: *gateway.alienExporter is no exporter"},
		"null in functions":                 {project(`"functions":[null]`), "project.functions[0]: null is no value"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := refused(t, appConfig(tt.app))
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("the error is %q, want %q", got, tt.want)
			}
			for _, secret := range []string{"hunter2", "a-secret-of-enough-bytes", "sb_secret_from"} {
				if strings.Contains(got, secret) {
					t.Errorf("a secret is in the error: %s", got)
				}
			}
		})
	}
}

package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

const oneRegionJSON = `{"region":"eu-central-1","state":"up","since":"2026-11-23T11:59:18Z","rtt_ms":3.05,"load":0.25,
 "backends":[{"address":"http://10.1.0.10:9000","state":"up"},{"address":"http://10.1.0.11:9000","state":"down"},{"address":"unix//run/edge.sock","state":"up"}]}`

const regionsJSON = `{"regions":[` + oneRegionJSON + `,
{"region":"us-east-1","state":"down","since":"2026-11-21T09:30:00Z","rtt_ms":90.98,"load":null,"backends":[{"address":"http://10.2.0.10:9000","state":"down"}]},
{"region":"lab","state":"unknown","since":"0001-01-01T00:00:00Z","rtt_ms":null,"load":null,"backends":null}]}` + "\n"

var statusJSON = `{"version":"v0.3.0","location":{"region":"eu-central-1","coordinates":[50.11,8.68],"source":"configured"},` +
	strings.TrimSuffix(strings.TrimPrefix(regionsJSON, "{"), "}\n") +
	`,"store":null,"projects":{"source":"config","loaded_at":"2026-11-23T09:55:00Z","error":null},"websockets":7}`

const statusText = `Version     v0.3.0
Location    eu-central-1 (configured)
Projects    config, loaded 2h 5m ago
WebSockets  7 open

REGION        STATE    SINCE  RTT      LOAD  BACKENDS
eu-central-1  up       42s    3.0 ms   0.25  2 up, 1 down
us-east-1     down     2d 2h  91.0 ms  -     1 down
lab           unknown  -      -        -     -
`

const regionsText = `REGION        STATE    SINCE  RTT      LOAD  BACKEND                STATE
eu-central-1  up       42s    3.0 ms   0.25  http://10.1.0.10:9000  up
                                             http://10.1.0.11:9000  down
                                             unix//run/edge.sock    up
us-east-1     down     2d 2h  91.0 ms  -     http://10.2.0.10:9000  down
lab           unknown  -      -        -     -                      -
`

const explainJSON = `{"mode":"gateway","chosen":"us-east-1","reason":"failover","client":{"country":null,"source":"unknown"},"candidates":[
{"region":"eu-central-1","rtt_ms":3.05,"base_ms":null,"fast_ms":null,"health":"down","load":null,"state":"down","score":3.05,"share":0,"why":"down: no backend accepts connections"},
{"region":"us-east-1","rtt_ms":90.98,"base_ms":null,"fast_ms":null,"health":"up","load":0.5,"state":"up","score":100.98,"share":1,"why":"chosen: failover"}]}`

const explainText = `Request names   no region
Runs in         us-east-1
Reason          failover
Nearest to      gateway
Client's place  unknown

REGION        STATE  RTT      BASE  FAST  LOAD  SCORE  SHARE  WHY
eu-central-1  down   3.0 ms   -     -     -     3.0    0%     down: no backend accepts connections
us-east-1     up     91.0 ms  -     -     0.50  101.0  100%   chosen: failover
`

const nowhereJSON = `{"mode":"gateway","chosen":"","reason":"explicit","client":{"country":"DE","source":"header"},"candidates":[
{"region":"lab","rtt_ms":null,"base_ms":null,"fast_ms":null,"health":"down","load":null,"state":"down","score":null,"share":0,"why":""}]}`

const nowhereText = `Request names   lab, eu-west-1
Runs in         nowhere: every region it may run in is down or drained, or has no list of backends
Reason          explicit
Nearest to      gateway
Client's place  DE (header)

REGION  STATE  RTT  BASE  FAST  LOAD  SCORE  SHARE  WHY
lab     down   -    -     -     -     -      0%     -
`

const fleetJSON = `"gateway":"fra-1","host":"edge-7","fleet":[
{"gateway":"fra-1","host":"edge-7","version":"v0.3.0","location":{"region":"eu-central-1","source":"configured"},"at":"2026-11-23T11:59:59Z",
 "regions":{"eu-central-1":{"rtt_ms":3.05,"state":"up"},"us-east-1":{"rtt_ms":90.98,"state":"down"}}},
{"gateway":"nrt-1","version":"v0.3.0","location":{"region":"ap-northeast-1","source":"inferred"},"at":"2026-11-23T11:59:50Z",
 "regions":{"eu-central-1":{"rtt_ms":240,"state":"up"}}}],
"misrouted":[{"country":"JP","calls":120,"gateway":"nrt-1","region":"ap-northeast-1","saves_ms":221.4}]}`

var fleetText = strings.Replace(statusText, "\nLocation", "\nGateway     fra-1 on edge-7\nLocation", 1) + `
GATEWAY          LOCATION                   HEARD    eu-central-1  us-east-1       lab
fra-1 on edge-7  eu-central-1 (configured)  1s ago   3.0 ms        91.0 ms (down)  -
nrt-1            ap-northeast-1 (inferred)  10s ago  240.0 ms      -               -

COUNTRY  CALLS  NEARER GATEWAY  REGION          SAVES
JP       120    nrt-1           ap-northeast-1  221 ms
`

// Regions whose backends come from sources.
const sourcesJSON = `{"regions":[{"region":"eu-central-1","state":"up","since":"2026-11-23T11:59:18Z","rtt_ms":3.05,"load":null,
 "backends":[{"address":"http://10.1.0.10:9000","state":"up","weight":1},
  {"address":"http://10.1.0.11:9000","state":"up","phase":"entering","weight":0.25,"source":"a runtime:9000"},
  {"address":"http://10.1.0.12:9000","state":"down","why":"probes fail: connection refused","phase":"entering","weight":0,"source":"a runtime:9000"},
  {"address":"http://10.1.0.13:9000","state":"up","phase":"leaving","weight":0,"in_flight":3,"source":"a runtime:9000"}],
 "sources":[{"source":"a runtime:9000","backends":2,"listed_at":"2026-11-23T11:58:00Z","age_seconds":120,"failing_since":"2026-11-23T11:58:05Z","error":"runtime: SERVFAIL"},
  {"source":"docker","backends":1,"listed_at":"2026-11-23T11:59:59Z","age_seconds":1,"failing_since":null,"incomplete":"b: no answer in time"}]},
{"region":"lab","state":"unknown","since":"0001-01-01T00:00:00Z","rtt_ms":null,"load":null,"backends":[],
 "sources":[{"source":"srv _http._tcp.x","backends":0,"listed_at":null,"age_seconds":null,"failing_since":null}]}]}` + "\n"

const sourcesText = `REGION        STATE    SINCE  RTT     LOAD  BACKEND                STATE
eu-central-1  up       42s    3.0 ms  -     http://10.1.0.10:9000  up, weight 1.00
                                            http://10.1.0.11:9000  up, entering, weight 0.25
                                            http://10.1.0.12:9000  down, entering: probes fail: connection refused
                                            http://10.1.0.13:9000  up, leaving, 3 in flight
lab           unknown  -      -       -     -                      -

REGION        BACKENDS FROM     LISTED  AGE    PROBLEM
eu-central-1  a runtime:9000    2       2m 0s  runtime: SERVFAIL
eu-central-1  docker            1       1s     b: no answer in time
lab           srv _http._tcp.x  0       -      -
`

const explainedJSON = `{"mode":"gateway","chosen":"lab","reason":"explicit","client":{"country":null,"source":"unknown"},"candidates":[
{"region":"lab","rtt_ms":null,"base_ms":null,"fast_ms":null,"health":"up","load":null,"state":"up","score":null,"share":1,"why":"chosen: explicit",
 "backends":[{"address":"http://10.1.0.10:9000","state":"up","share":0.8},
  {"address":"http://10.1.0.11:9000","state":"up","phase":"entering","share":0.2,"source":"a runtime:9000"}],
 "sources":[{"source":"a runtime:9000","age_seconds":4,"error":"runtime: SERVFAIL"}]}]}`

const explainedText = `Request names   lab
Runs in         lab
Reason          explicit
Nearest to      gateway
Client's place  unknown

REGION  STATE  RTT  BASE  FAST  LOAD  SCORE  SHARE  WHY
lab     up     -    -     -     -     -      100%   chosen: explicit

BACKEND                STATE         SHARE  LISTED BY
http://10.1.0.10:9000  up            80.0%  -
http://10.1.0.11:9000  up, entering  20.0%  a runtime:9000 4s ago, now runtime: SERVFAIL
`

func TestTables(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   []string
		answer string
		asked  string
		want   string
	}{
		{"status", []string{"status"}, statusJSON, "GET /edge_functions/status", statusText},
		{"regions", []string{"regions"}, regionsJSON, "GET /edge_functions/regions", regionsText},
		{"regions with sources", []string{"regions"}, sourcesJSON, "GET /edge_functions/regions", sourcesText},
		{"explain with sources", []string{"explain", "--region", "lab"}, explainedJSON, "GET /edge_functions/explain?region=lab", explainedText},
		{"explain without a region", []string{"explain"}, explainJSON, "GET /edge_functions/explain", explainText},
		{"contract 2.5: a list that is down", []string{"explain", "--region", "lab, eu-west-1"}, nowhereJSON, "GET /edge_functions/explain?region=lab%2C+eu-west-1", nowhereText},
		{
			"contract 2.6: all down and none named",
			[]string{"explain"},
			strings.NewReplacer("explicit", "fail_open", `"chosen":""`, `"chosen":"lab"`).Replace(nowhereJSON), "GET /edge_functions/explain",
			strings.NewReplacer(
				"lab, eu-west-1", "no region", "explicit", "fail_open",
				"nowhere: every region it may run in is down or drained, or has no list of backends", "lab, once: every region is down",
			).Replace(nowhereText),
		},
		{
			"contract 2.5: a project without a region here",
			[]string{"explain", "--project", "p"},
			strings.NewReplacer("explicit", "", `"chosen":""`, `"chosen":"","why":"none is here"`).Replace(nowhereJSON), "GET /edge_functions/explain?project=p",
			strings.NewReplacer("lab, eu-west-1", "no region", "explicit", "-", "every region it may run in is down or drained, or has no list of backends", "none is here").Replace(nowhereText),
		},
		{
			"status of a fleet",
			[]string{"status"},
			strings.TrimSuffix(statusJSON, "}") + "," + fleetJSON, "GET /edge_functions/status", fleetText,
		},
		{"table by name", []string{"regions", "-o", "table"}, regionsJSON, "GET /edge_functions/regions", regionsText},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, 200, tc.answer)
			stdout, stderr, code := execute(t, append(tc.args, "--address", g.address())...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, standard error %q", code, stderr)
			}
			if stdout != tc.want {
				t.Errorf("got\n%s\nwant\n%s", stdout, tc.want)
			}
			if asked := g.questions(); len(asked) != 1 || asked[0] != tc.asked {
				t.Errorf("asked %q, want %q", asked, tc.asked)
			}
		})
	}
}

// One shape for the command line and the admin API, and more fields may follow: what this build does not
// know must come through, in its order and with its digits.
func TestJSONIsWhatTheAdminAPISays(t *testing.T) {
	for _, tc := range []struct{ name, command, answer string }{
		{"status", "status", statusJSON},
		{"regions", "regions", regionsJSON},
		{"explain", "explain", explainJSON},
		{
			"members of a newer gateway", "status",
			`{"zone":1.50,"version":"v9","location":{"region":"","source":"unknown"},"regions":[],"store":{"kind":"redis","state":"up"},` +
				`"projects":{"source":"file","loaded_at":"2026-11-23T09:55:00Z","error":"<bad>"},"websockets":0,"big":12345678901234567890}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, 200, tc.answer)
			stdout, stderr, code := execute(t, tc.command, "-o", "json", "--address", g.address())
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, standard error %q", code, stderr)
			}
			if got, want := compact(t, stdout), compact(t, tc.answer); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if !strings.HasPrefix(stdout, "{\n  \"") || !strings.HasSuffix(stdout, "\n}\n") {
				t.Errorf("not indented, or not ended by one newline: %q", stdout)
			}
		})
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var raw json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	small, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	return string(small)
}

func TestStatusHead(t *testing.T) {
	const nowhere = `{"region":"","source":"unknown"}`
	file := func(more string) string {
		return `{"source":"file","location":"p.json","projects":2,"functions":1,"loaded_at":"2026-11-23T11:56:40Z","error":null` + more + `}`
	}
	for _, tc := range []struct{ name, location, projects, store, want string }{
		{
			"coordinates", `{"region":"","coordinates":[52.5,13.4],"source":"configured"}`, file(""), "null",
			"Location    52.5 13.4 (configured)\nProjects    file p.json: 2 projects with 1 function, loaded 3m 20s ago\nWebSockets",
		},
		{
			"no place", nowhere, file(""), "null",
			"Location    unknown\nProjects    file p.json: 2 projects with 1 function, loaded 3m 20s ago\nWebSockets",
		},
		{
			"one project of a Caddyfile", nowhere, `{"source":"config","loaded_at":"2026-11-23T11:56:40Z","error":null}`, "null",
			"Projects    config, loaded 3m 20s ago\nWebSockets",
		},
		{
			"a source that is away", nowhere, `{"source":"redis","loaded_at":null,"error":"connection refused"}`, "null",
			"Projects    redis, not loaded yet\n            the latest is not in force: connection refused\nWebSockets",
		},
		{
			"a bad projects file", nowhere, strings.Replace(file(""), "null", `"projects[3].ref: duplicate\nprojects[4].ref: duplicate"`, 1), "null",
			"3m 20s ago\n            the latest is not in force: projects[3].ref: duplicate; projects[4].ref: duplicate\nWebSockets",
		},
		{
			"problems", nowhere, file(`,"problems_total":2`), "null",
			"3m 20s ago\n            2 problems; -o json lists them\nWebSockets",
		},
		{
			"a store", nowhere, file(""), `{"kind":"redis","location":"h:6379","state":"up"}`,
			"3m 20s ago\nStore       redis h:6379, up\nWebSockets",
		},
		{
			"a store that is down", nowhere, file(""), `{"kind":"embedded","location":"/d","state":"down","error":"no space left\u001b on device"}`,
			"3m 20s ago\nStore       embedded /d, down: no space left\\x1b on device\nWebSockets",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := serve(t, 200, `{"version":"devel","location":`+tc.location+`,"regions":[],"store":`+tc.store+`,"projects":`+tc.projects+`}`)
			stdout, _, code := execute(t, "status", "--address", g.address())
			if code != 0 || !strings.Contains(stdout, tc.want) {
				t.Errorf("exit code %d, got\n%s\nwant\n%s", code, stdout, tc.want)
			}
		})
	}
}

func TestAge(t *testing.T) {
	for _, tc := range []struct {
		ago  time.Duration
		want string
	}{
		{-time.Minute, "0s"},
		{0, "0s"},
		{59*time.Second + 999*time.Millisecond, "59s"},
		{time.Minute, "1m 0s"},
		{59*time.Minute + 59*time.Second, "59m 59s"},
		{time.Hour, "1h 0m"},
		{24*time.Hour - time.Second, "23h 59m"},
		{24 * time.Hour, "1d 0h"},
		{400*24*time.Hour + 5*time.Hour, "400d 5h"},
	} {
		if got := age(today.Add(-tc.ago), today); got != tc.want {
			t.Errorf("age of %s: got %q, want %q", tc.ago, got, tc.want)
		}
	}
	if got := age(time.Time{}, today); got != "-" {
		t.Errorf("age of no time: got %q", got)
	}
}

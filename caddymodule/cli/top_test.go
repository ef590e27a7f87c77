package cli

import (
	"strings"
	"testing"
)

const topJSON = `{"rows":[
	{"project":"shop","function":"@SUM(1)\u009b","region":null,"invocations":12345,"unfinished":2,"errors":100,"error_share":0.0081,"cut":1,
	 "p50_ms":20.03,"p95_ms":300,"p99_ms":2999.5,"bytes_in":1536,"bytes_out":5368709120,"cold":null},
	{"project":"blog","function":"feed","region":null,"invocations":1,"unfinished":1,"errors":0,"error_share":null,"cut":0,
	 "p50_ms":null,"p95_ms":null,"p99_ms":null,"bytes_in":0,"bytes_out":0,"cold":null}],
	"all":{"project":null,"function":null,"region":null,"invocations":12346,"unfinished":3,"errors":100,"error_share":0.0081,"cut":1,
	 "p50_ms":20.03,"p95_ms":300,"p99_ms":2999.5,"bytes_in":1536,"bytes_out":5368709120,"cold":null},
	"total":7,"since":"2025-11-19T12:00:00Z","records_from":"2025-11-20T12:00:00Z","gateways":["c639b64f758e"],"read":9,"findings":[]}`

func TestTopTable(t *testing.T) {
	g := serve(t, 200, topJSON)
	stdout, stderr, code := execute(t, "top", "--by", "errors", "--since", "36h", "-n", "2", "--address", g.address())
	want := `PROJECT  FUNCTION       CALLS   ERRORS  SHARE  CUT  P50      P95       P99        IN       OUT
shop     @SUM(1)\u009b  12,345  100     0.8 %  1    20.0 ms  300.0 ms  2999.5 ms  1.5 KiB  5.0 GiB
blog     feed           1       0       -      0    -        -         -          0 B      0 B
all 7    -              12,346  100     0.8 %  1    20.0 ms  300.0 ms  2999.5 ms  1.5 KiB  5.0 GiB
`
	if code != 0 || stdout != want || stderr != logsNote {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	if asked := g.questions()[0]; asked != "GET /edge_functions/top?by=errors&each=function&limit=2&since=36h" {
		t.Errorf("asked %s", asked)
	}
}

func TestTopFormats(t *testing.T) {
	g := serve(t, 200, topJSON)
	stdout, _, code := execute(t, "top", "-o", "csv", "--address", g.address())
	want := `project,function,region,invocations,unfinished,errors,error_share,cut,p50_ms,p95_ms,p99_ms,bytes_in,bytes_out,cold
shop,'@SUM(1)\u009b,,12345,2,100,0.0081,1,20.03,300,2999.5,1536,5368709120,
blog,feed,,1,1,0,,0,,,,0,0,
`
	if code != 0 || stdout != want {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	stdout, _, code = execute(t, "top", "-o", "json", "--address", g.address())
	if code != 0 || !strings.Contains(stdout, `"total": 7`) || strings.Contains(stdout, "\u009b") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

func TestTopOfDamagedFiles(t *testing.T) {
	g := serve(t, 200, strings.Replace(topJSON, `"findings":[]`, `"findings":[{"file":"/l/1.zst","offset":-1,"what":"it is damaged","remedy":"stop it"}]`, 1))
	stdout, stderr, code := execute(t, "top", "--address", g.address())
	if message, hint := said(t, strings.TrimPrefix(stderr, logsNote)); code != 3 || !strings.Contains(stdout, "feed") || message != "partial: /l/1.zst: it is damaged" || hint != "stop it" {
		t.Errorf("exit code %d, %s, %s", code, message, hint)
	}
}

func TestTopWrongUsage(t *testing.T) {
	g := serve(t, 200, topJSON)
	for args, want := range map[string]string{
		"--by error":       "did you mean --by errors?",
		"--each functions": "did you mean --each function?",
		"-o jsn":           "did you mean --output json?",
		"-n 0":             "-n 20",
	} {
		_, stderr, code := execute(t, append(strings.Fields("top "+args), "--address", g.address())...)
		if _, hint := said(t, stderr); code != 2 || hint != want && !strings.Contains(hint, want) {
			t.Errorf("%s: exit code %d, %s", args, code, hint)
		}
	}
	if asked := g.questions(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

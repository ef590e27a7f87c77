package cli

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The names are those of a hostile caller: characters that move a cursor, formulas, and line ends.
const logsJSON = `{"invocations":[
	{"timestamp":1763640120000000,"gateway":"c639b64f758e","project_ref":"shop","function":"=cmd|\u001b[2J\u009b2J\u202e","region":null,"region_reason":null,"status":429,
	 "outcome":"refused","cut":false,"execution_time_ms":0.2,"attempts":0,"bytes_in":0,"bytes_out":0,"sb_request_id":"id-2","sb_error_code":"RATE_LIMITED","ledger_record_id":null,"units":1},
	{"timestamp":1763640060000000,"gateway":"c639b64f758e","project_ref":"shop","function":"hello","region":"eu-central-1","region_reason":null,"status":502,
	 "outcome":null,"cut":true,"execution_time_ms":3000.5,"attempts":2,"bytes_in":7,"bytes_out":9,"sb_request_id":null,"sb_error_code":null,"ledger_record_id":3,"units":1},
	{"timestamp":1763640000000000,"gateway":"c639b64f758e","project_ref":"shop","function":"a,\"b\"\r\nc","region":"eu-central-1","region_reason":null,"status":null,
	 "outcome":null,"cut":null,"execution_time_ms":null,"attempts":null,"bytes_in":null,"bytes_out":null,"sb_request_id":null,"sb_error_code":null,"ledger_record_id":1,"units":1}],
	"since":"2025-11-19T12:00:00Z","records_from":"2025-11-20T12:00:00Z","refusals_from":"2025-11-18T12:00:00Z","read":9,"findings":[]}`

const logsNote = "Records of this gateway begin at 2025-11-20 12:00:00.\n"

func TestLogsTable(t *testing.T) {
	g := serve(t, 200, logsJSON)
	stdout, stderr, code := execute(t, "logs", "--project", "shop", "--status", "5xx", "--since", "36h", "--slow", "2s", "-n", "3", "--address", g.address())
	want := `TIME                     STATUS  MS      PROJECT  FUNCTION                          REGION        TRIES  IN  OUT  OUTCOME
2025-11-20 12:00:00.000  -       -       shop     a,"b"\r\nc                        eu-central-1  -      -   -    not ended
2025-11-20 12:01:00.000  502     3000.5  shop     hello                             eu-central-1  2      7   9    broken off
2025-11-20 12:02:00.000  429     0.2     shop     =cmd|\x1b[2J\u009b2J\u202e        -             0      0   0    refused RATE_LIMITED
`
	if code != 0 || squeezed(stdout) != squeezed(want) || stderr != logsNote {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	if asked := g.questions()[0]; asked != "GET /edge_functions/invocations?limit=3&project=shop&since=36h&slow=2s&status=5xx" {
		t.Errorf("asked %s", asked)
	}
}

// squeezed has one space where a table has several.
func squeezed(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

func TestLogsJSON(t *testing.T) {
	g := serve(t, 200, logsJSON)
	stdout, stderr, code := execute(t, "logs", "-o", "json", "--address", g.address())
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != 0 || len(lines) != 3 || stderr != logsNote {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	for _, r := range stdout {
		if r != '\n' && (r < ' ' || r > '~') {
			t.Errorf("%q is printed", r)
		}
	}
	var last map[string]any
	if err := json.Unmarshal([]byte(lines[2]), &last); err != nil || last["function"] != "=cmd|\u001b[2J\u009b2J\u202e" || last["region"] != nil {
		t.Errorf("%v, %v", last, err)
	}
}

func TestLogsCSV(t *testing.T) {
	g := serve(t, 200, logsJSON)
	stdout, _, code := execute(t, "logs", "-o", "csv", "--address", g.address())
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if code != 0 || err != nil || len(rows) != 4 {
		t.Fatalf("exit code %d, %v, %s", code, err, stdout)
	}
	column := make(map[string]int)
	for i, name := range rows[0] {
		column[name] = i
	}
	if got := rows[1][column["function"]]; got != `a,"b"\r\nc` {
		t.Errorf("a name with a line end: %q", got)
	}
	if got := rows[3][column["function"]]; got != `'=cmd|\x1b[2J\u009b2J\u202e` {
		t.Errorf("a formula: %q", got)
	}
	if rows[1][column["status"]] != "" || rows[2][column["status"]] != "502" || rows[2][column["execution_time_ms"]] != "3000.5" || rows[2][column["cut"]] != "true" {
		t.Errorf("%q", rows)
	}
}

// What cannot be read is exit code 3 with what is wrong; what can be read is printed.
func TestLogsOfDamagedFiles(t *testing.T) {
	g := serve(t, 200, strings.Replace(logsJSON, `"findings":[]`,
		`"findings":[{"file":"/l/1.zst","offset":-1,"what":"its hash is not that of the manifest","remedy":"stop it"},{"file":"x","offset":0,"what":"y","remedy":"z"}]`, 1))
	for _, output := range []string{"table", "json", "csv"} {
		stdout, stderr, code := execute(t, "logs", "-o", output, "--address", g.address())
		message, hint := said(t, strings.TrimPrefix(stderr, logsNote))
		if code != 3 || !strings.Contains(stdout, "hello") || message != "partial: /l/1.zst: its hash is not that of the manifest (and 1 other finding)" || hint != "stop it" {
			t.Errorf("%s: exit code %d, %s, %s", output, code, message, hint)
		}
	}
}

func TestLogsWrongUsage(t *testing.T) {
	g := serve(t, 400, `{"error":"function \"helo\": no such function is configured, and none has records (did you mean \"hello\"?)"}`)
	for _, tt := range []struct {
		args, message, hint string
		code                int
	}{
		{"--status 5x", `--status "5x"`, "--status 5xx", 2},
		{"-n 0", "-n 0: must be at least 1", "-n 50", 2},
		{"-o yaml", `--output "yaml": allowed are table, json and csv`, "--help", 2},
		{"--function helo", `did you mean "hello"?`, "edgegate usage show", 1},
		{"--function helo -f", `did you mean "hello"?`, "edgegate usage show", 1},
	} {
		_, stderr, code := execute(t, append(strings.Fields("logs "+tt.args), "--address", g.address())...)
		if message, hint := said(t, stderr); code != tt.code || !strings.Contains(message, tt.message) || !strings.Contains(hint, tt.hint) {
			t.Errorf("%s: exit code %d, %s, %s", tt.args, code, message, hint)
		}
	}
}

// An answer that follows is printed as it comes; that it ends is a failure.
func TestLogsFollow(t *testing.T) {
	lines := `{"timestamp":1763640060000000,"gateway":"g","function":"one","status":200,"outcome":"complete","units":1}
{"finding":{"file":"/l/1.zst","offset":-1,"what":"its hash is wrong","remedy":""}}
{"timestamp":1763640060000000,"gateway":"g","function":"another","status":200,"outcome":"complete","units":1}
`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("follow") != "true" {
			t.Errorf("asked %s", r.URL)
		}
		_, _ = io.WriteString(w, lines)
	}))
	defer server.Close()
	stdout, stderr, code := execute(t, "logs", "-f", "--address", server.Listener.Addr().String())
	if code != 1 || strings.Count(stdout, "\n") != 3 || !strings.Contains(stdout, "another") || !strings.Contains(stderr, "its hash is wrong") ||
		!strings.Contains(stderr, "the gateway ended the answer") {
		t.Errorf("exit code %d, %s, %s", code, stdout, stderr)
	}
}

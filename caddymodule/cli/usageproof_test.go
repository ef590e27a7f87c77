package cli

import (
	"strings"
	"testing"
)

const proofJSON = `{"line":{"line_id":"9f86d081884c7d659a2feaa0c55ad015","revision":2,"period":"2026-11","account_id":"acme","plan":"pro","project_id":"default","function_id":"hello","region":"eu",
"window_start":"2026-11-03T14:00:00Z","window_end":"2026-11-03T15:00:00Z","quantity":1500,"cum_before":2000000,"cum_after":2001500,"included":2000000,"packages":1,"amount_minor":200,"currency":"USD","state":"correction","sha256":"ab12"},
"price":{"package":1000000,"price":"2.00"},"intact":true,"sources":[
{"gateway":"4f1c2a9b7d3e","line":{"quantity":1000},"here":true,"matches":true,"records":{"quantity":1000,"first":17,"last":4711,"admitted_records":1201,"ended_records":1200,"voided_records":1,
"adjustments":[{"at":"2026-11-03T14:20:00Z","units":-200,"reason":"outage\u001b","operator":"ada","made":"2026-11-05T08:00:00Z","record":4711}],
"sha256":"cd34","files":[{"file":"archive/1.zst","sha256":"ef56","records":2000},{"file":"wal/2.seg","sha256":"","records":403}],"read":5000,"damage":""}},
{"gateway":"5e2d3b0c8a4f","line":{"quantity":300},"here":false,"redis":{"quantity":300}},
{"gateway":"6e2d3b0c8a4f","line":{"quantity":200},"here":false}],"ok":true}`

const proofText = `Line      9f86d081884c7d659a2feaa0c55ad015
Account   acme, 2026-11, plan pro
Function  default/hello in eu
Hour      2026-11-03 14:00 to 15:00
State     correction, revision 2
Quantity  1,500, from 2,000,000 to 2,001,500 of the account
Price     2.00 USD for each 1,000,000 beyond 2,000,000
Amount    2.00 USD for 1 package
SHA-256   ab12, intact

GATEWAY       LINE HAS  RECORDS HAVE  FIRST  LAST   ADMITTED  ENDED  VOIDED  ADJUSTED  MATCHES
4f1c2a9b7d3e  1,000     1,000         17     4,711  1,201     1,200  1       1         yes
5e2d3b0c8a4f  300                                                                      not here
6e2d3b0c8a4f  200                                                                      not here

Gateway 4f1c2a9b7d3e: SHA-256 of the records cd34
5,000 records of the ledger were read: all follow each other, the hashes of archives are those of the manifest
FILE           RECORDS  SHA-256
archive/1.zst  2,000    ef56
wal/2.seg      403      - (not archived yet)
Record 4,711: -200 by ada on 2026-11-05 08:00: outage\x1b

Gateway 5e2d3b0c8a4f: the records are in its ledger, ask it with --address; Redis has 300

Gateway 6e2d3b0c8a4f: the records are in its ledger, ask it with --address; Redis has no sums of the hour any more
`

func TestUsageProof(t *testing.T) {
	g := serve(t, 200, proofJSON)
	stdout, stderr, code := execute(t, "usage", "proof", "9f86d081884c7d659a2feaa0c55ad015", "--address", g.address())
	if stdout != proofText || stderr != "" || code != 0 {
		t.Errorf("%d, standard error %q, standard output\n%s", code, stderr, stdout)
	}
	if got := g.questions()[0]; got != "GET /edge_functions/usage/proof?line=9f86d081884c7d659a2feaa0c55ad015" {
		t.Errorf("asked %s", got)
	}
	bad := strings.NewReplacer(`"ok":true`, `"ok":false`, `"matches":true`, `"matches":false`, `"damage":""`, `"damage":"record 17 is missing"`, `"intact":true`, `"intact":false`).Replace(proofJSON)
	for _, output := range []string{"table", "json"} {
		stdout, _, code = execute(t, "usage", "proof", "x", "-o", output, "--address", serve(t, 200, bad).address())
		if code != 1 || !strings.Contains(stdout, "record 17 is missing") || output == "table" && (!strings.Contains(stdout, "NOT that of its columns") || !strings.Contains(stdout, "  NO\n")) {
			t.Errorf("%d, %s", code, stdout)
		}
	}
	lost := strings.Replace(proofJSON, `"read":5000`, `"read":300,"lost":"1 to 4700"`, 1)
	stdout, _, _ = execute(t, "usage", "proof", "x", "--address", serve(t, 200, lost).address())
	const want = "\n300 records of the ledger were read: the records 1 to 4700 are lost, what they said cannot be proved; the others follow each other, the hashes of archives"
	if !strings.Contains(stdout, want) {
		t.Errorf("%s", stdout)
	}
	for want, other := range map[string]string{
		"Price     nothing is sold beyond 2,000,000\n": strings.Replace(proofJSON, `"package":1000000`, `"package":0`, 1),
		"Price     all is included\n":                  strings.Replace(proofJSON, `"included":2000000`, `"included":-1`, 1),
	} {
		if stdout, _, _ := execute(t, "usage", "proof", "x", "--address", serve(t, 200, other).address()); !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
	if _, stderr, code := execute(t, "usage", "proof"); code != 2 || !strings.Contains(stderr, "takes LINE_ID") {
		t.Errorf("%d, %s", code, stderr)
	}
	unknown := serve(t, 400, `{"error":"line x: this gateway has no such line"}`)
	if _, stderr, code := execute(t, "usage", "proof", "x", "--address", unknown.address()); code != 1 || !strings.Contains(stderr, "usage export") {
		t.Errorf("%d, %s", code, stderr)
	}
}

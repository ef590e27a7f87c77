#!/usr/bin/env bash
# All Go tests under the race detector with the end-to-end suite. Besides failures these fail the run: a skipped test, a suite that
# was left out, and less of routing covered than promised. TAGS and TIMEOUT are for `make soak`.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

tags=${TAGS:-e2e}
least=95.0
log=$out/go-test.log
summary=$out/go-test.summary

# caddytest leaves its tests out without a word under -trimpath
[[ $(go env GOFLAGS) != *-trimpath* ]] || die "GOFLAGS has -trimpath, under which caddytest skips"

code=0
go test -race -count=1 -v -tags "$tags" -timeout "${TIMEOUT:-20m}" ./... >"$log" 2>&1 || code=$?
grep -E '^(ok|FAIL|\?)[[:space:]]' "$log" >"$summary" || true

if ((code != 0)); then
	grep -vE '^(=== (RUN|PAUSE|CONT|NAME)|[[:space:]]*--- PASS|PASS$|ok[[:space:]]|redis: )' "$log" || true
	echo "what failed, and the lines before it that say where:"
	grep -E '^[[:space:]]+[a-z0-9_]+_test\.go:[0-9]+: |^[[:space:]]*--- FAIL|^(panic:|FAIL)' "$log" |
		grep -B 12 -E -- '--- FAIL|^(panic:|FAIL)' | cut -c1-600 || true
	die "go test failed, everything it said is in $log"
fi
if grep -E '^[[:space:]]*--- SKIP' "$log"; then
	die "skipped tests"
fi
grep -qE '^ok[[:space:]].*/caddymodule/integration/e2e[[:space:]]' "$log" || die "the end-to-end suite did not run"

# Of its own tests only: what the end-to-end suite happens to touch is not checked rule by rule. A run of its own, because test
# binaries that start themselves again print a line about coverage where their tests expect none.
# Programs that generate code are not of the product.
packages=$(go list ./routing/... | grep -v '/internal/learn$' | paste -sd, -)
go test -count=1 -coverpkg="$packages" -coverprofile="$out/cover.out" ./routing/... >"$out/cover.log" 2>&1 || {
	cat "$out/cover.log"
	die "go test with coverage failed"
}
covered=$(go tool cover -func="$out/cover.out" | awk '$1 == "total:" { sub("%", "", $NF); print $NF }')
awk -v covered="$covered" -v least="$least" 'BEGIN { exit !(covered >= least) }' || {
	go tool cover -func="$out/cover.out" | awk '$NF != "100.0%"'
	die "routing is covered by $covered %, promised are $least %"
}
echo "$(grep -cE '^[[:space:]]*--- PASS' "$log") tests, routing covered by $covered %"

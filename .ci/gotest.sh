#!/usr/bin/env bash
# All Go tests under the race detector with the end-to-end suite. Besides failures these fail the run: a skipped test, a suite that
# was left out, and less covered than promised. TAGS and TIMEOUT are for `make soak`.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

tags=${TAGS:-e2e}
log=$out/go-test.log
summary=$out/go-test.summary

# caddytest leaves its tests out without a word under -trimpath
[[ $(go env GOFLAGS) != *-trimpath* ]] || die "GOFLAGS has -trimpath, under which caddytest skips"

code=0
# Most parallel tests wait: more of them at once than there are cores.
go test -race -count=1 -parallel 4 -v -tags "$tags" -timeout "${TIMEOUT:-40m}" ./... >"$log" 2>&1 || code=$?
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

# What the race detector would make too slow, and no run for coverage has.
go test -count=1 -run '^TestYear$' -v ./ratelimit/usage >"$out/year.log" 2>&1 && grep -q -- '--- PASS: TestYear' "$out/year.log" || {
	cat "$out/year.log"
	die "TestYear failed, or did not run"
}

# By unit tests alone: what the end-to-end suite happens to touch is not checked rule by rule. Runs of their own, because test
# binaries that start themselves again print a line about coverage where their tests expect none.
cover() { # what is promised, least percent, packages covered, packages tested
	local what=$1 least=$2 covered
	go test -count=1 -coverpkg="$3" -coverprofile="$out/cover.out" "${@:4}" >"$out/cover.log" 2>&1 || {
		cat "$out/cover.log"
		die "go test with coverage failed"
	}
	covered=$(go tool cover -func="$out/cover.out" | awk '$1 == "total:" { sub("%", "", $NF); print $NF }')
	awk -v covered="$covered" -v least="$least" 'BEGIN { exit !(covered >= least) }' || {
		go tool cover -func="$out/cover.out" | awk '$NF != "100.0%"'
		die "$what is covered by $covered %, promised are $least %"
	}
	echo "$what: covered by $covered %, promised are $least %"
}
# Programs that generate code are not of the product.
cover routing 95.0 "$(go list ./routing/... | grep -v '/internal/learn$' | paste -sd, -)" ./routing/...
for room in billing metering quota rate; do
	cover "ratelimit/$room" 90.0 "./ratelimit/$room" "./ratelimit/$room"
done
cover caddymodule/gateway 90.0 ./caddymodule/gateway ./caddymodule/gateway ./caddymodule/integration
echo "$(grep -cE '^[[:space:]]*--- PASS' "$log") tests"

#!/usr/bin/env bash
# Known vulnerabilities that our code can reach fail the check. Without a way to the database it says so and goes on: the finding
# would not be about this change, and a machine without internet access must be able to run everything else.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

log=$out/govulncheck.log
code=0
.ci/bin/govulncheck ./... >"$log" 2>&1 || code=$?
if ((code != 0)) && grep -qE 'dial tcp|no such host|connection refused|i/o timeout|proxyconnect|Forbidden' "$log" && ! grep -q '^Vulnerability #' "$log"; then
	echo 'govulncheck: database not reachable, not run'
	exit 0
fi
cat "$log"
exit "$code"

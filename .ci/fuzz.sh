#!/usr/bin/env bash
# fuzz.sh TIME: runs every native fuzz target of the repository for TIME each, one after another.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

time=${1:-5s}
ran=0
for dir in $(grep -rlE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Z_]' cmd caddymodule routing regions ratelimit 2>/dev/null | xargs -r dirname | sort -u); do
	# a variable, not a pipe: a package that doesn't compile must end the run
	listed=$(go test -list '^Fuzz' "./$dir")
	for target in $(grep '^Fuzz' <<<"$listed"); do
		printf '%s %s: ' "$dir" "$target"
		# At the end of the time Go's coordinator may report its own deadline as a failure (golang/go#75804). A finding always
		# writes the input that failed.
		if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$dir" >"$out/fuzz.log" 2>&1 &&
			{ grep -q 'Failing input written to' "$out/fuzz.log" || ! grep -qx '    context deadline exceeded' "$out/fuzz.log"; }; then
			echo failed
			cat "$out/fuzz.log"
			exit 1
		fi
		grep -E '^fuzz: elapsed' "$out/fuzz.log" | tail -1 | sed 's/^fuzz: elapsed: //'
		ran=$((ran + 1))
	done
done
((ran > 0)) || die "found no fuzz target"
echo "$ran fuzz targets, $time each"

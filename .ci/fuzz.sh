#!/usr/bin/env bash
# fuzz.sh TIME: runs every native fuzz target of the repository for TIME each, as many at once as there are processors.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

time=${1:-5s}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cache=$(go env GOCACHE)/fuzz
module=$(go list -m)

# fuzz BINARY DIRECTORY TARGET: one worker, in the directory of the package, where testdata is
fuzz() {
	local log=$scratch/$(basename "$1").$3.log
	mkdir -p "$cache/$module/$2"
	# At the end of the time Go's coordinator may report its own deadline as a failure (golang/go#75804). A finding always
	# writes the input that failed.
	if ! (cd "$2" && "$1" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$time" -test.parallel 1 -test.fuzzcachedir "$cache/$module/$2") >"$log" 2>&1 &&
		{ grep -q 'Failing input written to' "$log" || ! grep -qx '    context deadline exceeded' "$log"; }; then
		printf '%s %s: failed\n%s\n' "$2" "$3" "$(<"$log")"
		return 255 # xargs starts no others
	fi
	printf '%s %s: %s\n' "$2" "$3" "$(grep -E '^fuzz: elapsed' "$log" | tail -1 | sed 's/^fuzz: elapsed: //')"
}
export -f fuzz
export scratch cache module time

ran=0
for dir in $(grep -rlE --include='*_test.go' --exclude-dir=node_modules '^func Fuzz[A-Z_]' cmd caddymodule routing regions ratelimit 2>/dev/null | xargs -r dirname | sort -u); do
	binary=$scratch/${dir//\//-}
	go test -c -fuzz . -o "$binary" "./$dir"
	# a variable, not a pipe: a binary that ends with an error must end the run
	listed=$(cd "$dir" && "$binary" -test.list '^Fuzz')
	for target in $(grep '^Fuzz' <<<"$listed"); do
		printf '%s %s %s\n' "$binary" "$dir" "$target" >>"$scratch/targets"
		ran=$((ran + 1))
	done
done
((ran > 0)) || die "found no fuzz target"
xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$@"' fuzz <"$scratch/targets" || die "a fuzz target failed"
echo "$ran fuzz targets, $time each"

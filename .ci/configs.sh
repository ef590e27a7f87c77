#!/usr/bin/env bash
# Every Caddyfile that we ship must validate with the binary of this tree, with the example values for the variables it names. The rules
# for Prometheus must hold, and pass their unit tests.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
own_home "$home"
if [[ -f configs/example.env ]]; then
	set -a
	. configs/example.env
	set +a
fi

checked=0
while IFS= read -r file; do
	# from the file's own directory: imports and relative paths in it mean that one
	if ! (cd "$(dirname "$file")" && "$out/edgegate" validate --adapter caddyfile --config "$(basename "$file")") >"$out/validate.log" 2>&1; then
		cat "$out/validate.log"
		die "$file is not valid"
	fi
	if ! "$out/edgegate" fmt --diff "$file" >"$out/fmt.log" 2>&1; then
		cat "$out/fmt.log"
		die "$file is not formatted, run: edgegate fmt --overwrite $file"
	fi
	echo "$file: valid"
	checked=$((checked + 1))
done < <(find configs -type f \( -name 'Caddyfile*' -o -name '*.caddyfile' \) | sort)
((checked > 0)) || die "found no Caddyfile in configs"

"$out/edgegate" projects check configs/projects.json || die "configs/projects.json is not valid"

(cd configs/prometheus && promtool check config prometheus.yaml && promtool test rules alerts_test.yaml) || die "configs/prometheus is not valid"

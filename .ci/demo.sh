#!/usr/bin/env bash
# The README's first command, as a stranger meets it: start the demo, run every curl line that it prints, compare the answer with what
# the line below it (-> ...) promises, and end it as ctrl-C does.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

home=$(mktemp -d)
own_home "$home"
port=$(free_port)

# With job control `go run` and the program it starts form a process group of their own, like under a terminal.
set -m
go run ./cmd/edgegate demo --listen "127.0.0.1:$port" >"$out/demo.log" 2>"$out/demo.err" </dev/null &
pid=$!
set +m

finish() {
	kill -KILL -- "-$pid" 2>/dev/null || true
	rm -rf "$home"
}
trap finish EXIT

fail() {
	printf -- '--- printed\n'
	cat "$out/demo.log"
	printf -- '--- logged\n'
	tail -n 40 "$out/demo.err"
	die "$*"
}

# The text is written at once, after the gateway listens; its last lines name the other commands.
for _ in {1..600}; do
	if grep -q 'edgegate status' "$out/demo.log"; then break; fi
	kill -0 "$pid" 2>/dev/null || fail "the demo ended by itself"
	sleep 0.2
done
grep -q 'edgegate status' "$out/demo.log" || fail "the demo printed nothing within 2 minutes"

# -N marks an endless stream, of which a few seconds are enough; anything else has to end.
curl() {
	local code=0
	command curl -sS --max-time 8 "$@" >"$out/answer" 2>>"$out/demo.err" || code=$?
	((code == 0)) || [[ $code == 28 && $1 == *N* ]] || fail "curl ended with $code: $*"
}

# promised LINE compares the last answer with a line like "503, sb-error-code: REGION_UNAVAILABLE, ...".
promised() {
	local status=200 pair
	if [[ $1 =~ ^([1-5][0-9][0-9])[,\ ] ]]; then status=${BASH_REMATCH[1]}; fi
	head -1 "$out/answer" | grep -qE "^HTTP/[0-9.]+ $status\b" || fail "not $status but $(head -1 "$out/answer"), promised: $1"
	while IFS= read -r pair; do
		tr -d '\r' <"$out/answer" | sed '/^$/q' | grep -qiE "^${pair//./\\.}(;|\$)" || fail "no header $pair, promised: $1"
	done < <(grep -oE '\b(x-sb-edge-region|x-sb-region-reason|x-content-type-options|content-type|sb-error-code): [A-Za-z0-9_./-]+' <<<"$1")
}

count=0 outage='' first=''
while IFS= read -r line; do
	case $line in
	"curl -X POST "*/_internal/outage*) outage=$line ;;
	"curl "*)
		first=${first:-$line}
		eval "$line"
		;;
	"   -> "*)
		if [[ -n $outage ]]; then
			# what it promises is seen by calling the first line again
			command curl -sS --max-time 8 -o "$out/answer" -X POST "$(grep -oE "http://[^']+" <<<"$outage")"
			eval "$first"
		fi
		promised "${line#   -> }"
		echo "as promised: ${line#   -> }"
		count=$((count + 1))
		;;
	esac
done <"$out/demo.log"
((count >= 5)) || fail "only $count lines to try"

# To the program alone: `go run` passes its exit code on, but exits 1 whenever it is interrupted itself.
program=$(cat "/proc/$pid/task/"*/children 2>/dev/null || pgrep -P "$pid")
kill -INT $program
code=0
wait "$pid" || code=$?
((code == 0)) || fail "ctrl-C ended the demo with exit code $code"

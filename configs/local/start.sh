#!/usr/bin/env bash
# Starts three Deno processes (needs `deno` on PATH) and the gateway in front of them; ctrl-C ends all four.
# EDGEGATE names the gateway's binary; without it one is built from this tree.
set -euo pipefail
cd "$(dirname "$0")"
command -v deno >/dev/null || {
	echo "start.sh: deno is not on PATH: npm install -g deno" >&2
	exit 1
}
# npm may have installed a wrapper, which would not pass signals on
deno=$(deno eval 'console.log(Deno.execPath())')

set -a
. ../example.env
set +a

sockets=$(mktemp -d)
export ADMIN_SOCKET=$sockets/admin.sock
echo "admin API: edgegate status --address unix/$ADMIN_SOCKET"

pids=()
finish() {
	trap - EXIT INT TERM
	kill "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$sockets"
}
trap finish EXIT
trap 'exit 0' INT TERM

port=9201
for region in eu-central-1 us-east-1 ap-southeast-1; do
	# no pipe behind it, so that $! is deno
	PORT=$port SB_REGION=$region "$deno" run --allow-net=127.0.0.1 --allow-env --allow-read=. main.ts \
		> >(sed -u "s/^/$region | /") 2>&1 &
	pids+=($!)
	port=$((port + 1))
done

if [[ -n ${EDGEGATE:-} ]]; then
	"$EDGEGATE" run --adapter caddyfile --config Caddyfile &
else
	go build -C ../.. -o "${TMPDIR:-/tmp}/edgegate-local" ./cmd/edgegate
	"${TMPDIR:-/tmp}/edgegate-local" run --adapter caddyfile --config Caddyfile &
fi
pids+=($!)

# The first process that ends by itself ends the others.
wait -n

#!/usr/bin/env bash
# Installs what the tests need besides Go and make, where it is missing: a C compiler (the race detector links with it), git, curl,
# redis-server, Prometheus with promtool, jq, Node.js with npm, Chromium, and the Node packages of the end-to-end suite. Debian and its relatives only; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

# what supabase-js asks for in its package.json
node_min=22
e2e=caddymodule/integration/e2e

missing=()
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v git >/dev/null || missing+=(git)
command -v curl >/dev/null || missing+=(curl ca-certificates)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v promtool >/dev/null && command -v prometheus >/dev/null || missing+=(prometheus)
command -v jq >/dev/null || missing+=(jq)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || missing+=(chromium)

if ((${#missing[@]})); then
	command -v apt-get >/dev/null || die "please install: ${missing[*]} (names of the Debian packages; Node.js $node_min or newer)"
	sudo=()
	if ((EUID != 0)); then
		command -v sudo >/dev/null || die "please install as root: apt-get install ${missing[*]}"
		sudo=(sudo)
	fi
	# Packages start their services when they are installed, but nobody needs a Redis on this machine's standard port: the tests start
	# their own. This is how Debian is told so; containers mostly say it already.
	policy=/usr/sbin/policy-rc.d
	if [[ ! -e $policy ]]; then
		trap '"${sudo[@]}" rm -f "$policy"' EXIT
		printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
		"${sudo[@]}" chmod 755 "$policy"
	fi
	"${sudo[@]}" apt-get update -q
	"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
	if [[ -n $(trap -p EXIT) ]]; then
		"${sudo[@]}" rm -f "$policy"
		trap - EXIT
	fi
	hash -r
	# nor at the next boot
	for service in redis-server prometheus; do
		if [[ " ${missing[*]} " == *" $service "* ]] && [[ -d /run/systemd/system ]]; then
			"${sudo[@]}" systemctl disable "$service"
		fi
	done
fi

node_major() { node -p 'process.versions.node.split(".")[0]'; }

if (($(node_major) < node_min)); then
	npm install --no-save --no-package-lock --no-fund --no-audit --prefix .ci/node "node@$node_min"
	hash -r
	(($(node_major) >= node_min)) || die "Node.js $node_min or newer is needed, found $(node --version)"
fi

# Only when the lock file is not the one installed last. Not by npm ci: it refuses a lock file without the entries of deno's packages
# for other systems, which npm leaves out of it where a registry doesn't have them. Versions and hashes are those of the lock file anyway.
stamp=$e2e/node_modules/.installed
if ! cmp -s "$e2e/package-lock.json" "$stamp"; then
	(cd "$e2e" && npm install --no-save --no-fund --no-audit)
	cp "$e2e/package-lock.json" "$stamp"
fi

printf 'node %s, npm %s, deno %s, redis %s, prometheus %s\n' "$(node --version)" "$(npm --version)" "$(deno --version | awk 'NR==1{print $2}')" \
	"$(redis-server --version | awk '{ sub("v=", "", $3); print $3 }')" "$(promtool --version | awk 'NR==1{ sub(",", "", $3); print $3 }')"

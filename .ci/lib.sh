# Shared by the scripts of this directory: sourced, after `set -euo pipefail`, with the repository's root as working directory.

root=$PWD
out=$root/.ci/out
mkdir -p "$out"

# The end-to-end suite finds deno and its other programs among its own packages; .ci/node holds a newer Node.js where the system's is old.
PATH=$root/caddymodule/integration/e2e/node_modules/.bin:$root/.ci/node/node_modules/.bin:$PATH
export PATH

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 1
}

# own_home DIR keeps what a started gateway stores (autosaved config, certificates) out of the user's directories.
own_home() {
	export XDG_DATA_HOME=$1/data XDG_CONFIG_HOME=$1/config
}

# free_port prints a loopback port on which nothing listens.
free_port() {
	local port
	for _ in {1..50}; do
		port=$((20000 + RANDOM % 10000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
	die "no free port found"
}

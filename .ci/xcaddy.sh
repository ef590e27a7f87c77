#!/usr/bin/env bash
# Runs the xcaddy command that docs/build.md prints, in this tree, and compares the modules of the Caddy it builds with what is printed there.
# Build flags and cgo are those of `go build`, so that the compiled packages come from the same cache; xcaddy's own would double the time.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

manual=docs/build.md
command=$(awk 'sub(/^\$ /, "") { taken = /^GOFLAGS=.* xcaddy build / } taken { print } !/\\$/ { taken = 0 }' "$manual")
[[ -n $command ]] || die "$manual prints no command that begins with GOFLAGS=... xcaddy build"
printed=$(awk 'taken && /^```/ { exit } taken { print } /^\$ \.\/caddy list-modules/ { taken = 1 }' "$manual")
[[ -n $printed ]] || die "$manual prints no modules below ./caddy list-modules"

export PATH=$root/.ci/bin:$PATH
export XCADDY_GO_BUILD_FLAGS=-buildvcs=false XCADDY_SETCAP=0
CGO_ENABLED=$(go env CGO_ENABLED)
export CGO_ENABLED
if ! eval "$command --output $(printf %q "$out/caddy")" >"$out/xcaddy.log" 2>&1; then
	tail -n 60 "$out/xcaddy.log"
	die "the command of $manual failed: $command"
fi
if ! diff <(printf '%s\n' "$printed") <("$out/caddy" list-modules | grep edge_functions); then
	die "$manual does not list the modules of what it builds (< is printed, > is there)"
fi
printf '%s\n' "$printed"

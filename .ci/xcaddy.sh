#!/usr/bin/env bash
# Builds a Caddy with our modules the way the manual tells other people to, from this tree, and looks whether they are in it.
# Build flags and cgo are those of `go build`, so that the compiled packages come from the same cache; xcaddy's own would double the time.
# Modules come from the local cache alone, where our own go.mod has put and verified them: Go also asks for a module named like our
# package, and not every proxy answers "not found" to that, which would end the build.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
go mod download
# Caddy by itself, which is where xcaddy begins, takes older versions of some modules than our go.mod does.
alone=$(mktemp -d)
trap 'rm -rf "$alone"' EXIT
cat >"$alone/main.go" <<'GO'
package main

import (
	_ "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() {}
GO
(cd "$alone" && go mod init caddy && go get "github.com/caddyserver/caddy/v2@$caddy") >"$out/xcaddy.log" 2>&1 || {
	tail -n 20 "$out/xcaddy.log"
	die "downloading what Caddy $caddy needs failed"
}
if ! CGO_ENABLED=$(go env CGO_ENABLED) GOPROXY=off GOSUMDB=off XCADDY_GO_BUILD_FLAGS=-buildvcs=false XCADDY_SETCAP=0 .ci/bin/xcaddy build "$caddy" \
	--output "$out/caddy" \
	--with github.com/edgegate/edgegate/caddymodule \
	--replace "github.com/edgegate/edgegate=$root" >"$out/xcaddy.log" 2>&1; then
	tail -n 60 "$out/xcaddy.log"
	die "xcaddy build failed"
fi
modules=$("$out/caddy" list-modules)
for module in edge_functions http.handlers.edge_functions; do
	grep -qxF "$module" <<<"$modules" || die "the built Caddy has no module $module"
	echo "$module"
done

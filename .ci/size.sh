#!/usr/bin/env bash
# Prints the size of the stripped binary, of Caddy's own, and what each library that Caddy does not have adds to it. A library's part
# is the size of its symbols; what belongs to no symbol (function tables, types) is shared out in proportion.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

caddy=github.com/caddyserver/caddy/v2/cmd/caddy
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

build() { go build -trimpath -ldflags "$1" -o "$tmp/$2" "$3"; }
build "-s -w" caddy $caddy
build "-s -w" edgegate ./cmd/edgegate
build "" symbols ./cmd/edgegate

modules() { go list -deps -f '{{with .Module}}{{.Path}}{{end}}' "$1" | sort -u; }
comm -13 <(modules $caddy) <(modules ./cmd/edgegate) | grep . >"$tmp/modules"

own=$(stat -c %s "$tmp/caddy")
all=$(stat -c %s "$tmp/edgegate")
go tool nm -size "$tmp/symbols" | awk -v modules="$tmp/modules" -v more=$((all - own)) -v own="$own" -v all="$all" '
	BEGIN {
		while ((getline line < modules) > 0) module[++n] = line
		printf "%7.1f MB  the binary\n%7.1f MB  Caddy alone\n", all / 1e6, own / 1e6
	}
	$3 !~ /^[bBU]$/ {
		gsub("%2e", ".")
		for (i = 1; i <= n; i++) if (index($0, module[i])) { size[module[i]] += $2; sum += $2; break }
	}
	END {
		for (m in size) printf "%7.1f MB  %s\n", size[m] / sum * more / 1e6, m | "sort -rn"
	}'

#!/usr/bin/env bash
# Fails on Go files that gofmt would change, and on a go.mod or go.sum that `go mod tidy` would change.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(find . \( -name node_modules -o -name .git -o -name testdata \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)
if [[ -n $unformatted ]]; then
	printf 'not formatted, run make fmt:\n%s\n' "$unformatted" >&2
	exit 1
fi
go mod tidy -diff

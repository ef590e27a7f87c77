#!/usr/bin/env bash
# Builds the tools named in tools/go.mod into .ci/bin, when they are missing or their versions changed. They live in a module of their
# own, so that their dependencies stay out of the product's go.mod.
set -euo pipefail
cd "$(dirname "$0")"

wanted="$(go version) $(cksum tools/go.mod tools/go.sum)"
if [[ -f bin/.versions && $(<bin/.versions) == "$wanted" ]]; then
	exit 0
fi
mkdir -p bin
rm -f bin/.versions
bin=$PWD/bin
(cd tools && GOBIN=$bin go install -mod=readonly tool)
printf '%s' "$wanted" >bin/.versions

#!/usr/bin/env bash
# Draws the figures of docs by the simulation; with -check it fails if they would change.
set -euo pipefail
cd "$(dirname "$0")/figures"
go vet ./...
go run -mod=readonly . "$@" ../../docs

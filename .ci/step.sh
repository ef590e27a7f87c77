#!/usr/bin/env bash
# step.sh NAME BUDGET COMMAND...: runs one part of the check and prints what it took beside its budget in seconds.
# The budget is for two cores with a warm build cache; going over it is shown, not punished.
set -euo pipefail
name=$1 budget=$2
shift 2
printf '==> %s\n' "$name"
code=0
"$@" || code=$?
verdict=ok
if ((code != 0)); then verdict="FAILED (exit $code)"; fi
printf '==> %s: %s, %d s (budget %d s)\n' "$name" "$verdict" "$SECONDS" "$budget"
exit "$code"

#!/usr/bin/env bash
# Runs each fuzz target of the tree for TIME and prints a summary; exits 1 if one of them found something.
#
#   fuzz.sh TIME [PATTERN]     TIME as go test takes it, 30s or 1000x; PATTERN: only targets whose PACKAGE.Name matches it
#
# What a target found is kept by go test in the package's testdata/fuzz: commit it with the repair.
set -euo pipefail
cd "$(dirname "$0")/../.."
. deploy/env.sh

[ $# -ge 1 ] && [ $# -le 2 ] || { echo "usage: deploy/deps/fuzz.sh TIME [PATTERN]" >&2; exit 2; }
time=$1 pattern=${2:-.}
[[ $time =~ ^[0-9]+([.][0-9]+)?(ms|s|m|h|x)$ ]] || { echo "fuzz: TIME is \"$time\", expected for instance 30s, 5m or 1000x" >&2; exit 2; }

# Targets are read from the sources, since asking each test binary would build all of them first.
targets=()
while IFS=: read -r file line; do
	name=${line#func }
	targets+=("$(dirname "$file") ${name%%(*}")
done < <(find . -path ./build -prune -o -path './.*' -prune -o -name '*_test.go' -print0 |
	xargs -0 -r grep -HoE '^func Fuzz[A-Za-z0-9_]*\([A-Za-z_]+ \*testing\.F\)' | sort)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run=0 failed=()
for target in "${targets[@]}"; do
	read -r package name <<<"$target"
	[[ "$package.$name" =~ $pattern ]] || continue
	run=$((run + 1))
	printf 'fuzz: %-28s %-34s ' "$package" "$name"
	if go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package" >"$log" 2>&1; then
		execs=$(grep -oE 'execs: [0-9]+' "$log" | tail -n 1 || true)
		echo "ok    ${execs:-}"
	else
		echo "FAILED"
		sed 's/^/    /' "$log"
		failed+=("$package $name")
	fi
done

if [ "$run" = 0 ]; then
	echo "fuzz: no target matches \"$pattern\"; there are ${#targets[@]} in the tree" >&2
	exit 1
fi
if [ ${#failed[@]} -gt 0 ]; then
	echo "fuzz: ${#failed[@]} of $run targets failed:"
	printf '  %s\n' "${failed[@]}"
	exit 1
fi
echo "fuzz: $run targets of $time each, nothing found"

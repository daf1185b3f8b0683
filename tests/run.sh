#!/bin/bash
# SPDX-License-Identifier: MIT
# Run test programs (cmocka in TAP) and test scripts (TAP on stdout), each under a time limit, and
# count.  Usage: tests/run.sh PROGRAM...   With CI=true a skip is a failure.
# RUN: what programs of another architecture are run with.
set -u
RUN=${RUN:-}
limit=${TEST_TIMEOUT:-900}
passed=0 failed=0 skipped=0
log=$(mktemp -d) || exit 1
trap 'rm -rf "$log"' EXIT
export CMOCKA_MESSAGE_OUTPUT=TAP
unset CMOCKA_XML_FILE
for t in "$@"; do
	name=$(basename "$t")
	case $t in
	*.py) run=(/usr/bin/python3 "$t") ;;
	*.sh) run=(bash "$t") ;;
	*) run=($RUN "$t") ;;
	esac
	start=$SECONDS
	timeout -k 10 "$limit" "${run[@]}" >"$log/out" 2>"$log/err" </dev/null
	rc=$?
	s=$(grep -ciE '^(not )?ok [0-9]+.*# *skip' "$log/out")
	p=$(grep -E '^ok [0-9]+' "$log/out" | grep -civE '# *skip')
	f=$(grep -E '^not ok [0-9]+' "$log/out" | grep -civE '# *skip')
	plan=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$log/out" | head -n 1)
	note=
	if [ "$rc" -ge 124 ] || { [ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && [ "$s" -eq 0 ]; }; then
		f=$((f + 1)) note=" (exit status $rc$([ "$rc" -eq 124 ] && echo ", time limit ${limit}s"))"
	elif [ $((p + f + s)) -ne "${plan:--1}" ]; then
		f=$((f + 1)) note=" (planned ${plan:-nothing}, ran $((p + f - 1 + s)))"
	fi
	if [ "${CI:-}" = true ] && [ "$s" -gt 0 ]; then
		f=$((f + s)) s=0 note="$note (a skip is a failure in CI)"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '%-34s %4d passed %3d failed %3d skipped %4ds%s\n' "$name" "$p" "$f" "$s" $((SECONDS - start)) "$note"
	if [ "$f" -gt 0 ]; then
		grep -E '^(not ok|#)|skip' "$log/out" | head -n 40
		tail -n 60 "$log/err"
	elif [ "$s" -gt 0 ]; then
		grep -hiE 'skipped:' "$log/out" "$log/err" | sort | uniq -c | head -n 5
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

#!/bin/bash
# SPDX-License-Identifier: MIT
# Every real HEF on the chips in software under valgrind, one frame at a time and eight at once: frames
# come back and no access is wrong.  Files for other chips, and broken ones, are refused as cleanly.
# Which is which is told by their names: MODEL.CHIP.vCONTAINER.hef.
set -u
hefs=${HAILO_SHARED:-/nonexistent}/data/hef
skip() {
	echo "1..1"
	echo "ok 1 - real files under valgrind # SKIP $1"
	exit 0
}
[ "${SAN:-0}" = 0 ] || { echo "1..1"; echo "ok 1 - not for sanitizer builds: they check it themselves"; exit 0; }
command -v valgrind >/dev/null || skip "valgrind is not installed (deploy/install-deps.sh --test)"
ls "$hefs"/*.hef >/dev/null 2>&1 || skip "$hefs is not there"

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0 bad=0

# FILE DEVICE BATCH WANT: exit status; 4 is "this file cannot be used"
try() {
	local name status frames
	name="$(basename "$1") on $2, batch $3"
	n=$((n + 1))
	valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,possible \
		--errors-for-leak-kinds=definite,possible --log-file="$tmp/log" \
		"$OUT/hwctl" run "$1" --device "$2" --batch "$3" --frames "$3" >"$tmp/out" 2>"$tmp/err"
	status=$?
	frames=$(sed -n 's/.*: \([0-9]*\) frames\? in .*/\1/p' "$tmp/out")
	if [ $status != "$4" ] || { [ "$4" = 0 ] && [ "$frames" != "$3" ]; }; then
		echo "not ok $n - $name (exit status $status instead of $4, ${frames:-no} frames)"
		sed 's/^/# /' "$tmp/err" "$tmp/log"
		bad=1
	elif [ "$4" = 0 ]; then
		echo "ok $n - $name: $frames frames"
	else
		echo "ok $n - $name: refused"
	fi
}

for hef in "$hefs"/*.hef; do
	case $hef in
	*.hailo8.*) on8=0 on8l=4 ;;
	*.hailo8l.*) on8=0 on8l=0 ;; # a Hailo-8 takes these too (hef-format 3.4)
	*) on8=4 on8l=4 ;;
	esac
	for batch in 1 8; do
		[ $batch = 8 ] && [ $on8$on8l = 44 ] && continue
		try "$hef" mock:8 $batch $on8
		[ $batch = 8 ] && [ $on8l = 4 ] && continue
		try "$hef" mock:8l $batch $on8l
	done
done
echo "1..$n"
exit $bad

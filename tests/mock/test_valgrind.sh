#!/bin/bash
# SPDX-License-Identifier: MIT
# A short life under valgrind: no bad access, no use of what was never written, nothing leaked.
set -u
if [ "${SAN:-0}" != 0 ]; then
	echo "1..1"
	echo "ok 1 - not for sanitizer builds: they check it themselves"
	exit 0
fi
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
models=$TOP/deploy/models
n=0 bad=0

clean() { # NAME COMMAND...
	local name=$1
	shift
	n=$((n + 1))
	if valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,possible \
		--errors-for-leak-kinds=definite,possible --log-file="$tmp/log" "$@" >"$tmp/out" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name (exit status $?)"
		sed 's/^/# /' "$tmp/out" "$tmp/log"
		bad=1
	fi
}

echo "1..4"
clean "three frames on the chip in software" \
	"$OUT/hwctl" run "$OUT/models/imu-motion.hef" --device mock --frames 3
clean "a window on this CPU" \
	"$OUT/hwctl" run --cpu "$models/imu-motion.onnx" --input "$models/sample-walk.json"
clean "a HEF of three contexts is built" \
	"$OUT/hwctl" hef build "$models/imu-motion.onnx" -o "$tmp/x.hef" --contexts 3 --manifest \
	"$models/imu-motion.json" --calibrate "$models/imu-motion.calib.json"
clean "batches of frames through it" \
	"$OUT/hwctl" run "$tmp/x.hef" --device mock --batch 8 --frames 20
exit $bad

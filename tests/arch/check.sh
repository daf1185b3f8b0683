#!/bin/bash
# SPDX-License-Identifier: MIT
# The arm64 build on this machine, under qemu-aarch64-static: its unit and mock tests, host
# transforms against the recordings, and that it computes what the machine's own build computes.
# Needs OUT (of this build; the other one is in OUT/arm64), TOP and HAILO_SHARED: make check-arm64.
set -uo pipefail

root=$("$TOP/tests/support/sysroot.sh") || exit 1
arm=$OUT/arm64
export RUN="qemu-aarch64-static -L $root"

# What does not run here, and why.
reason() {
	case $1 in
	test_onnx_large | test_onnx_model) echo "real models in float: minutes under qemu" ;;
	test_pci_bind) echo "looks at processes, and sees qemu's" ;;
	*) return 1 ;;
	esac
}

tests=()
for t in "$arm"/tests/unit/test_* "$arm"/tests/mock/test_* "$arm/tests/golden/test_transform"; do
	[ -x "$t" ] || continue
	if why=$(reason "$(basename "$t")"); then
		printf '%-34s not run: %s\n' "$(basename "$t")" "$why"
	else
		tests+=("$t")
	fi
done

model=$OUT/models/imu-motion.hef
export OPENBLAS_NUM_THREADS=1
"$OUT/tests/arch/digest" "$model" >"$OUT/arch-host.txt" &&
	$RUN "$arm/tests/arch/digest" "$model" >"$OUT/arch-arm64.txt" || exit 1
"$TOP/tests/arch/compare.py" "$OUT/arch-host.txt" "$OUT/arch-arm64.txt" || bad=1

OUT=$arm "$TOP/tests/run.sh" "${tests[@]}" || bad=1
exit "${bad:-0}"

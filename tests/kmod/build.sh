#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel module against Debian's kernels: W=1 without a warning, sparse without a word, and
# checkpatch clean.  One line for each build; `build.sh O=DIR 6.12/arm64-16k ...` does only those.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL # of `make -j2 kmod-check`: a job server out of reach is a warning

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out=$top/out/kmod
builds=
for arg; do
	case $arg in
	O=*) out=$(realpath -m "${arg#O=}")/kmod ;;
	*) builds="$builds $arg" ;;
	esac
done
[ -n "$builds" ] || builds="6.1/amd64 6.12/amd64 6.1/arm64 6.12/arm64 6.12/arm64-16k checkpatch"
bad=0

for b in $builds; do
	if [ "$b" = checkpatch ]; then
		checkpatch=$("$here/headers.sh" checkpatch)
		perl "$checkpatch" --no-tree --strict --max-line-length=100 --terse -f \
			"$top"/hwlayer/kmod/*.[ch] "$top/Kbuild" && r=0 || r=1
	else
		version=${b%/*} flavour=${b#*/}
		kdir=$("$here/headers.sh" "$version" "$flavour")
		dir=$out/$version-$flavour
		mkdir -p "$dir"
		make -s -C "$top" kmod O="$out" KMOD_O="$dir" KDIR="$kdir" KMOD_FLAGS="W=1 C=2" \
			>"$dir.log" 2>&1 && r=0 || r=1
		[ ! -s "$dir.log" ] || r=1
		[ "$r" = 0 ] || cat "$dir.log"
	fi
	[ "$r" = 0 ] && echo "ok      kmod $b" || echo "FAILED  kmod $b"
	bad=$((bad + r))
done
exit "$((bad > 0))"

#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header compiles alone, as C and as C++, with every warning an error.
set -u
headers=("$TOP"/include/hwlayer/*.h)
echo "1..$((2 * ${#headers[@]}))"
n=0 bad=0
for h in "${headers[@]}"; do
	for lang in c c++; do
		n=$((n + 1))
		# <hwlayer/x.h>, as an application would, in a file with nothing before it
		if printf '#include <hwlayer/%s>\n' "$(basename "$h")" |
			clang -x $lang -Wall -Wextra -Wpedantic -Werror -I"$TOP/include" -fsyntax-only -; then
			echo "ok $n - $(basename "$h") as $lang"
		else
			echo "not ok $n - $(basename "$h") as $lang"
			bad=1
		fi
	done
done
exit $bad

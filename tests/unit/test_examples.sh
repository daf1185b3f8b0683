#!/bin/bash
# SPDX-License-Identifier: MIT
# An application's view: install into an empty root, then build the examples of docs/examples with
# nothing but what was installed there, run them on the chip in software, and compare their answers
# with those of hwctl.
set -u
sample=$TOP/deploy/models/sample-walk.json
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
model=$root/usr/share/hailo-inference/models/imu-motion.hef
hwctl=$root/usr/bin/hwctl
frames=40
n=0 bad=0

result() { # NAME STATUS
	n=$((n + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		bad=$((bad + 1))
	fi
}

# The archive holds instrumented objects in sanitizer builds, so a program must be linked with their
# run time, by the compiler that made them ($CC), whoever compiled the program's own object.
case ${SAN:-0} in
1) san=(-fsanitize=address,undefined -fno-sanitize-recover=all) ;;
thread) san=(-fsanitize=thread) ;;
*) san=() ;;
esac
cases="gcc:blocking gcc:async clang:blocking clang:async"
echo "1..$((5 + 2 * $(wc -w <<<"$cases")))"

# An application does not inherit this build's variables, and make would pass them on.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s -C "$TOP" O="$OUT" SAN="${SAN:-0}" install \
	DESTDIR="$root" PREFIX=/usr >"$tmp/log" 2>&1 || cat "$tmp/log"
ok=0
for f in bin/hwctl sbin/hailo-inferenced lib/libhwlayer.a lib/pkgconfig/hwlayer.pc \
	include/hwlayer/{hwlayer,log,manifest,tensor}.h \
	share/hailo-inference/models/imu-motion.{hef,json}; do
	[ -s "$root/usr/$f" ] || { echo "# $f was not installed"; ok=1; }
done
result "make install puts everything in its place" $ok

nm --defined-only --extern-only "$root/usr/lib/libhwlayer.a" | awk 'NF == 3 { print $3 }' >"$tmp/names"
others=$(grep -v '^hw_' "$tmp/names" | head -n 5)
[ -s "$tmp/names" ] && [ -z "$others" ] || echo "# visible:" $others
[ -s "$tmp/names" ] && [ -z "$others" ]
result "the installed library shows public names only" $?

export PKG_CONFIG_PATH=$root/usr/lib/pkgconfig
pc() { pkg-config --define-prefix "$@" hwlayer; }
[ "$(pc --modversion)" = "$("$hwctl" --version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" ]
result "pkg-config and the library agree about the version" $?

# Nothing of the source tree is in sight from here.
cd "$tmp" || exit 1
cp "$TOP"/docs/examples/*.c . || exit 1

# The same inputs for hwctl: frame f, byte i is 31 f + 7 i, as in async.c.
/usr/bin/python3 -c "
import sys
sys.stdout.buffer.write(bytes((f * 31 + i * 7) & 255 for f in range($frames) for i in range(900)))
" >frames.bin
"$hwctl" run "$model" --device mock --input "$sample" --json >blocking.json &&
	"$hwctl" run "$model" --device mock --input frames.bin --json >async.json
result "hwctl runs both inputs" $?

cat >compare.py <<'P'
# compare.py EXAMPLE: its lines on stdin against EXAMPLE.json, as the same floats, bit for bit
import json, struct, sys
def f32(values):
    return [struct.pack("f", float(v)) for v in values]
want = json.load(open(sys.argv[1] + ".json"))["outputs"]
lines = sys.stdin.read().splitlines()
if sys.argv[1] == "blocking":
    got = {l.split(None, 1)[0]: f32(l.split()[1:]) for l in lines}
    good = len(want) == 1 and got == {k: f32(v) for k, v in want[0].items()}
else:
    last = "%d submitted, %d answered well" % (len(want), len(want))
    got = [l.split(" status ") for l in lines[:-1]]
    good = lines[-1] == last and len(got) == len(want) and all(
        status == "0" and f32(values.split()) == f32(next(iter(w.values())))
        for (values, status), w in zip(got, want)) and len({v for v, _ in got}) > len(want) // 2
sys.exit(not good)
P

for c in $cases; do
	cc=${c%:*} ex=${c#*:}
	# shellcheck disable=SC2046
	$cc -std=gnu11 -Wall -Wextra -Wpedantic -Werror -O2 -c "$ex.c" $(pc --cflags) -o "$ex.o" &&
		if [ ${#san[@]} -gt 0 ]; then ${CC:-gcc} "${san[@]}" "$ex.o" $(pc --static --libs) -o "$cc-$ex"
		else $cc "$ex.o" $(pc --static --libs) -o "$cc-$ex"; fi
	result "$ex.c builds with $cc" $?
	args=("$sample")
	[ "$ex" = async ] && args=($frames)
	set -o pipefail
	"./$cc-$ex" mock "$model" "${args[@]}" >"$ex.txt" && /usr/bin/python3 compare.py "$ex" <"$ex.txt"
	result "$ex, built with $cc, answers as hwctl does" $?
	set +o pipefail
done

# Ctrl-C in the middle: what was taken is answered, then it ends.  A background job of this shell
# ignores SIGINT until the program asks for it, so one that comes early does no harm.
many=200000
"./gcc-async" mock "$model" $many >async.txt 2>async.err &
pid=$!
sleep 1
while kill -INT $pid 2>/dev/null; do sleep 0.1; done
wait $pid
status=$?
read -r sent _ ok _ <<<"$(tail -n 1 async.txt | tr -d ,)"
echo "# stopped after $sent of $many frames"
[ $status -eq 0 ] && [ "$sent" -gt 0 ] && [ "$sent" -lt $many ] && [ "$sent" = "$(grep -c ' status 0$' async.txt)" ]
result "async stops in order on SIGINT" $?
exit $((bad > 0))

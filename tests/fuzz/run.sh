#!/bin/bash
# SPDX-License-Identifier: MIT
# Run the fuzzers that `make fuzz` built into $OUT.
#   run.sh check SECONDS          each fuzzer in $FUZZERS on the committed corpus
#   run.sh long NAME CPU_SECONDS DIR
#                                 one fuzzer until it has used that much of the processor; DIR/corpus grows
#   run.sh merge NAME DIR         the smallest set of files that covers what DIR/corpus and the committed
#                                 corpus cover becomes the committed corpus
# Whatever a fuzzer found lies in $OUT/found (check) or DIR (long); the exit status tells.
set -u
here=$(cd "$(dirname "$0")" && pwd)

# Longer inputs only cost time.
declare -A max_len=([hef]=8192 [onnx]=8192 [control]=2048)
limits() {
	echo -max_len="${max_len[$1]}" -timeout=30 -rss_limit_mb=2048 -malloc_limit_mb=600 -use_value_profile=0
}

# Inputs that once failed stay, whatever else they cover.
found() {
	[ ! -d "$here/found/$1" ] || echo "$here/found/$1"
}

check() {
	local seconds=$1 name work log status=0
	mkdir -p "$OUT/found"
	for name in $FUZZERS; do
		work=$(mktemp -d) log=$OUT/found/$name.log
		# shellcheck disable=SC2046
		if "$OUT/fuzz_$name" $(limits "$name") -max_total_time="$seconds" -print_final_stats=1 \
			-artifact_prefix="$OUT/found/$name-" "$work" "$here/corpus/$name" $(found "$name") >"$log" 2>&1; then
			echo "fuzz_$name: ok, $(ls "$here/corpus/$name" | wc -l) seeds," \
				"$(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $seconds s"
		else
			echo "fuzz_$name: FAILED, its last lines (all of them: $log):"
			tail -n 40 "$log"
			status=1
		fi
		rm -rf "$work"
	done
	return $status
}

# libFuzzer only knows the clock on the wall, which says little on a busy machine.
long() {
	local name=$1 cpu=$2 dir=$3 pid used=0
	mkdir -p "$dir/corpus"
	cp -n "$here/corpus/$name/"* "$dir/corpus/" 2>/dev/null
	# shellcheck disable=SC2046
	"$OUT/fuzz_$name" $(limits "$name") -timeout=120 -print_final_stats=1 -artifact_prefix="$dir/" \
		"$dir/corpus" >"$dir/log" 2>&1 &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 5
		used=$(ps -o cputimes= -p $pid | tr -d ' ')
		[ "${used:-0}" -lt "$cpu" ] || { kill -USR1 $pid; break; }
	done
	wait $pid
	local status=$?
	echo "fuzz_$name: exit status $status after at least ${used:-?} s of processor time" >>"$dir/log"
	return $status
}

merge() {
	local name=$1 dir=$2 tmp
	tmp=$(mktemp -d)
	mkdir "$tmp/new"
	cp -r "$dir/corpus" "$tmp/all" 2>/dev/null # a fuzzer that still runs takes files away
	# shellcheck disable=SC2046
	"$OUT/fuzz_$name" $(limits "$name") -merge=1 -use_counters=0 "$tmp/new" "$here/corpus/$name" \
		"$tmp/all" 2>&1 | tail -n 1
	rm -rf "$here/corpus/$name"
	mkdir "$here/corpus/$name"
	cp "$tmp/new/"* "$here/corpus/$name/"
	rm -rf "$tmp"
	du -sh --apparent-size "$here/corpus/$name"
}

mode=$1
shift
$mode "$@"

#!/bin/bash
# SPDX-License-Identifier: MIT
# hwctl run --record, trace diff, show and replay, as a user calls them.
set -u
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
hefs=$HAILO_SHARED/data/hef golden=$HAILO_SHARED/golden
n=0 bad=0

check() { # NAME WANTED-STATUS WORDS COMMAND...
	local name=$1 want=$2 words=$3 rc
	shift 3
	n=$((n + 1))
	"$@" >"$tmp/out" 2>&1
	rc=$?
	if [ $rc -eq "$want" ] && grep -qF -- "$words" "$tmp/out"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name (exit status $rc)"
		head -n 20 "$tmp/out" | sed 's/^/# /'
		bad=1
	fi
}

if [ ! -d "$golden" ]; then
	echo "1..1"
	echo "ok 1 - # SKIP $golden is not here (set HAILO_SHARED)"
	exit 0
fi
echo "1..28"
h=$OUT/hwctl
record() { "$h" run "$hefs/$1.hef" --record "$tmp/$2.jsonl" "${@:3}"; }

check "run" 0 "3 frames" record mnist_cnn.hailo8.v0 a --device mock:8 --batch 1 --frames 3 \
	--record-mmio "$tmp/a.tsv"
check "equal to the vendor's" 0 "equal" "$h" trace diff "$tmp/a.jsonl" \
	"$golden/mnist_cnn.hailo8.v0.batch1.jsonl"
check "not to its batch 8" 1 "batch_size" "$h" trace diff "$tmp/a.jsonl" \
	"$golden/mnist_cnn.hailo8.v0.batch8.jsonl"
check "as JSON" 1 '"equal":	false' "$h" trace diff --json "$tmp/a.jsonl" \
	"$golden/mnist_cnn.hailo8.v0.batch8.jsonl"
check "registers: the heading" 0 "$(printf 'time_s\tbar\toffset\twidth\trw\tvalue')" head -n 1 "$tmp/a.tsv"
check "registers: the doorbell of a channel is 16 bits wide" 0 "$(printf '\t2\t0x42\t16\tW\t')" \
	cat "$tmp/a.tsv"
check "batch 8, another queue depth" 0 "8 frames" record hand_landmark_lite.hailo8.v2 b \
	--device mock:8 --batch 8 --frames 8 --queue-depth 16 --in-flight 4
check "equal" 0 "equal" "$h" trace diff "$tmp/b.jsonl" \
	"$golden/hand_landmark_lite.hailo8.v2.batch8.jsonl"
check "small pages on an 8L" 0 "3 frames" record model_3x640x640.hailo8l.v1 c --device mock:8l \
	--frames 3 --max-page 128
check "equal" 0 "equal" "$h" trace diff "$tmp/c.jsonl" \
	"$golden/model_3x640x640.hailo8l.v1.page128.jsonl"
check "other constants" 0 "3 frames" record hand_landmark_lite.hailo8.v2 d --device mock:8 --frames 3 \
	--mock-hw-consts 08000000fffff8ff0010000001000000800000
check "equal" 0 "equal" "$h" trace diff "$tmp/d.jsonl" \
	"$golden/hand_landmark_lite.hailo8.v2.hwconsts-a.jsonl"
check "latency" 0 "to its last output" record fsq_m13_imu.hailo8.v2 e --device mock:8 --frames 3 \
	--measure-latency
check "equal" 0 "equal" "$h" trace diff "$tmp/e.jsonl" \
	"$golden/fsq_m13_imu.hailo8.v2.latency.jsonl"
check "unknown clusters are refused" 4 "0x3c" record model_3x640x640.hailo8l.v1 f --device mock:8l \
	--mock-layout 3c
check "equal, too" 0 "equal" "$h" trace diff "$tmp/f.jsonl" \
	"$golden/model_3x640x640.hailo8l.v1.layout1.jsonl"
check "shown as actions" 0 "trigger_sequencer cluster=4" "$h" trace show \
	"$golden/mnist_cnn.hailo8.v0.batch1.jsonl"
check "replayed" 0 "26 controls and 6 transfers, taken as recorded" "$h" trace replay \
	"$golden/model_3x640x640.hailo8l.v1.on8.jsonl"
sed 's/"rsp":"0000000200000001/&zz/' "$golden/mnist_cnn.hailo8.v0.batch1.jsonl" >"$tmp/damaged.jsonl"
check "an answer that is no hex" 0 "IDENTIFY: (not hex)" "$h" trace show "$tmp/damaged.jsonl"
check "no recording" 4 "line 1 is no line of a recording" "$h" trace show "$tmp/a.tsv"

# Frames of the recordings' generator (golden/README 4.1): byte i of frame k.
frames() { # BYTES COUNT
	printf "$(awk -v n="$1" -v count="$2" 'BEGIN { for (k = 0; k < count; k++) for (i = 0; i < n; i++)
		printf "\\%03o", (i * 167 + int(i / 256) * 59 + k * 31 + 7) % 256 }')"
}
frames 1024 8 >"$tmp/mnist.raw"
frames 1800 8 >"$tmp/fsq.raw"
pair() { # OUTPUT ARGUMENTS...
	"$h" run "$hefs/mnist_cnn.hailo8.v0.hef" --input "$tmp/mnist.raw" \
		"$hefs/fsq_m13_imu.hailo8.v2.hef" --input "$tmp/fsq.raw" --device mock:8 \
		--record "$tmp/$1.jsonl" "${@:2}"
}
check "two models take turns" 0 "fsq_m13_imu.hailo8.v2.hef on mock (hailo8 in software): 3 frames" \
	pair g --frames 3
check "equal to the vendor's" 0 "equal" "$h" trace diff "$tmp/g.jsonl" \
	"$golden/mnist_cnn+fsq_m13_imu.async1.jsonl"
check "a batch each" 0 '"frames":	8' pair i --frames 8 --batch 4 --json
check "equal to the vendor's" 0 "equal" "$h" trace diff "$tmp/i.jsonl" \
	"$golden/mnist_cnn+fsq_m13_imu.async4.jsonl"
check "which of them cannot be loaded" 4 "truncated.hef: " pair k "$hefs/truncated.hef"
check "no such group" 4 "no network group nobody" pair k --name nobody
check "two files" 2 "two files" "$h" trace diff "$tmp/a.jsonl"
check "a card's own name" 3 "" "$h" trace replay "$tmp/a.jsonl" --device 0000:ff:1f.7
exit $bad

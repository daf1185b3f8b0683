#!/bin/sh
# SPDX-License-Identifier: MIT
# First light: install what is missing, build, start the daemon on the chip in software with the
# default model, send it one window of IMU data and show the answer.
set -eu
cd "$(dirname "$0")/.."
O=${O:-out}
port=${SIDECAR_PORT:-9000}
sample=deploy/models/sample-walk.json

deploy/install-deps.sh
make -s -j"$(nproc)" O="$O" all

log=$(mktemp)
HAILO_DEVICE_ID=mock SIDECAR_HOST=127.0.0.1 SIDECAR_PORT=$port "$O"/hailo-inferenced 2>"$log" &
daemon=$!
trap 'kill $daemon 2>/dev/null; wait $daemon 2>/dev/null; rm -f "$log"' EXIT
i=0
until curl -sf -o /dev/null "http://127.0.0.1:$port/healthz"; do
	i=$((i + 1))
	if [ $i -gt 100 ] || ! kill -0 $daemon 2>/dev/null; then
		echo "the daemon did not come up:" >&2
		cat "$log" >&2
		exit 1
	fi
	sleep 0.1
done

echo "POST /infer with $sample (100 rows of ax ay az gx gy gz mx my mz):"
answer=$(curl -sS --fail-with-body -H 'Content-Type: application/json' --data-binary @$sample \
	"http://127.0.0.1:$port/infer")
echo "$answer"
echo
echo "the motifs it sees in it:"
names=$(tr -d '\n' <"$O/models/imu-motion.json" | sed 's/.*"motifs":[^[]*"names":[^[]*\[\([^]]*\)\].*/\1/')
echo "$answer" | sed 's/.*"motif_scores":\[\([^]]*\)\].*/\1/' | awk -F, -v names="$names" '{
	gsub(/[" \t]/, "", names); split(names, n, ",")
	for (i = 1; i <= NF; i++) printf "  %-6s %.2f\n", n[i], $i
}' | sort -k2,2nr | head -n 3
echo
echo "GET /healthz:"
curl -sS --fail-with-body "http://127.0.0.1:$port/healthz"
echo

#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's arm64 libraries and headers that this project builds with, in a folder of their own:
# nothing is installed, and dpkg knows of no other architecture.  Prints the folder.
set -euo pipefail

packages="libc6-dev linux-libc-dev libgcc-12-dev libprotobuf-c-dev libpci-dev libmicrohttpd-dev
	libcjson-dev libxxhash-dev zlib1g-dev libssl-dev libopenblas-dev libcmocka-dev"
triplet=aarch64-linux-gnu
cache=${HAILO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hailo-inference}
# shellcheck disable=SC2086
root=$cache/sysroot-arm64-$(echo $packages | md5sum | cut -c1-8)

mkdir -p "$cache"
exec 8>"$root.lock"
flock 8
if [ ! -e "$root/complete" ]; then
	rm -rf "$root"
	# shellcheck disable=SC2086
	"$(dirname "$0")/debian.sh" sysroot arm64 "$root" $packages
	# What installing would do: links to elsewhere stay inside, and OpenBLAS gets its names.
	find "$root" -type l -lname '/*' -printf '%p %l\n' | while read -r link target; do
		ln -sfr "$root$target" "$link"
	done
	ln -s openblas-pthread/libopenblas.so "$root/usr/lib/$triplet/libopenblas.so"
	ln -s openblas-pthread/libopenblas.so.0 "$root/usr/lib/$triplet/libopenblas.so.0"
	for header in "$root/usr/include/$triplet"/openblas-pthread/*.h; do
		ln -sfr "$header" "$root/usr/include/$triplet/"
	done
	touch "$root/complete"
fi
echo "$root"

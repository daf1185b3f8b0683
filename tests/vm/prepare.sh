#!/bin/bash
# SPDX-License-Identifier: MIT
# What the virtual machines need, built once and kept in DIR (make vm-check: O/vm):
#
#   prepare.sh DIR plugin        DIR/hailo8.so, the chip as a device of Debian's QEMU
#   prepare.sh DIR kernel NAME   DIR/kernel/NAME: vmlinuz, release, lib/modules; NAME: amd64, arm64,
#                                amd64-6.12, arm64-16k
#   prepare.sh DIR hailo_uio NAME  our kernel module for that kernel, in DIR/kernel/NAME/built
#   prepare.sh DIR root ARCH     DIR/root/ARCH: busybox and systemd-udevd, with what these need
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
dir=$1
debian=$top/tests/support/debian.sh
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# QEMU's headers, some of which its build makes; nothing of QEMU itself is built.
qemu_headers() {
	local src=$dir/qemu build=$dir/qemu-build
	[ ! -e "$build/done" ] || return 0
	rm -rf "$build"
	"$debian" source "$src" qemu
	mkdir -p "$build"
	(
		cd "$build"
		"$src/configure" --target-list=x86_64-softmmu --without-default-features --enable-tcg \
			--enable-system --disable-kvm --enable-fdt=system --with-git-submodules=ignore \
			--disable-werror --meson=/usr/bin/meson
		# shellcheck disable=SC2046
		ninja $(ninja -t targets all |
			sed -n 's/^\(config-poison\.h\|\(qapi\|trace\)\/[^:]*\.h\):.*/\1/p')
	) >"$dir/qemu.log" 2>&1 || {
		tail -20 "$dir/qemu.log" >&2
		return 1
	}
	touch "$build/done"
}

plugin() {
	local src=$dir/qemu build=$dir/qemu-build libs
	qemu_headers
	CFLAGS="-O2 -g -fPIC" make -C "$top" --no-print-directory -s O="$dir/pic" SAN=0 \
		LIB_DIRS="util mock onnx" "$dir/pic/libhwlayer.a" >/dev/null
	libs=$(pkg-config --libs glib-2.0 libcjson libprotobuf-c libxxhash zlib libcrypto libpci)
	# Preloaded names come before QEMU's own, so none may be seen.
	# shellcheck disable=SC2046,SC2086
	gcc -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
		-fPIC -shared -fvisibility=hidden -std=gnu11 -fno-strict-aliasing -D_GNU_SOURCE \
		-D_FILE_OFFSET_BITS=64 -isystem "$build" -isystem "$build/qapi" -isystem "$src" \
		-isystem "$src/include" -isystem "$src/tcg/i386" -iquote "$top/hwlayer" \
		-iquote "$top/tests/vm/plugin" $(pkg-config --cflags glib-2.0) \
		-o "$dir/hailo8.so.new" "$top"/tests/vm/plugin/*.c "$dir/pic/libhwlayer.a" \
		-Wl,--exclude-libs,ALL -Wl,-Bsymbolic $libs -lopenblas -lm -pthread
	mv "$dir/hailo8.so.new" "$dir/hailo8.so"
}

# The newest kernel of a series: its number changes with every update.
kernel() {
	local arch=${1%%-*} names out=$dir/kernel/$1 package
	case $1 in
	amd64 | arm64) names="linux-image-6\.1\.0-[0-9]+-cloud-$arch" ;;
	amd64-6.12) names="linux-image-6\.12\.[0-9.]+\+deb12-cloud-amd64" ;;
	arm64-16k) names="linux-image-6\.12\.[0-9.]+\+deb12-arm64-16k" ;;
	*)
		echo "prepare.sh: no kernel is called $1" >&2
		return 2
		;;
	esac
	[ ! -e "$out/release" ] || return 0
	package=$("$debian" names "$arch" "$names" | tail -1)
	[ -n "$package" ] || {
		echo "prepare.sh: no package looks like $names" >&2
		return 1
	}
	rm -rf "$out"
	"$debian" unpack "$out" "$package:$arch"
	cp "$out"/boot/vmlinuz-* "$out/vmlinuz"
	depmod -b "$out" "${package#linux-image-}"
	echo "${package#linux-image-}" >"$out/release"
}

# KDIR of the headers of a kernel.
headers() {
	case $1 in
	amd64 | arm64) "$top/tests/kmod/headers.sh" 6.1 "cloud-$1" ;;
	amd64-6.12) "$top/tests/kmod/headers.sh" 6.12 cloud-amd64 ;;
	*) "$top/tests/kmod/headers.sh" 6.12 "$1" ;;
	esac
}

hailo_uio() {
	local out=$dir/kernel/$1
	make -C "$top" --no-print-directory -s kmod KDIR="$(headers "$1")" KMOD_O="$dir/kmod/$1"
	mkdir -p "$out/built"
	cp "$dir/kmod/$1/hailo_uio.ko" "$out/built/"
}

root() {
	local out=$dir/root/$1
	[ ! -e "$out/done" ] || return 0
	rm -rf "$out"
	"$debian" sysroot "$1" "$out" busybox-static udev kmod
	touch "$out/done"
}

case ${2:-} in
plugin) plugin ;;
kernel) kernel "$3" ;;
hailo_uio) hailo_uio "$3" ;;
root) root "$3" ;;
*)
	sed -n '3,9s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

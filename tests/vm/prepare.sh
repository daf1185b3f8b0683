#!/bin/bash
# SPDX-License-Identifier: MIT
# What the virtual machines need, built once and kept in DIR (make vm-check: O/vm):
#
#   prepare.sh DIR plugin        DIR/hailo8.so, the chip as a device of Debian's QEMU
#   prepare.sh DIR kernel NAME   DIR/kernel/NAME: vmlinuz, release, lib/modules; NAME: amd64, arm64,
#                                amd64-6.12, arm64-16k
#   prepare.sh DIR root ARCH     DIR/root/ARCH: busybox and systemd-udevd, with what these need
#   prepare.sh DIR modules SET NAME   DIR/built/SET-NAME: modules for that kernel: "uio", ours;
#                                "noiommu" and "iommufd", VFIO with what Debian leaves out
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

# Some of the sources of a kernel version, in a folder that is named.
linux_source() { # 6.1|6.12 PATH...
	local version=$1 out=$dir/linux-$1 package=$dir/linux-$1-package
	shift
	if [ ! -e "$out/done" ]; then
		rm -rf "$out"
		mkdir -p "$out"
		"$debian" unpack "$package" "linux-source-$version:all"
		tar -C "$out" --strip-components=1 -xf "$package/usr/src/linux-source-$version.tar.xz" \
			"${@/#/linux-source-$version/}"
		rm -r "$package"
		touch "$out/done"
	fi
	echo "$out"
}

# A folder with Kbuild files, against the headers of kernel NAME; the modules go to DIR/built/SET-NAME.
build_modules() { # NAME FOLDER OUT
	env -u MAKEFLAGS make -s -C "$(headers "$1")" M="$2" CONFIG_DEBUG_INFO_BTF_MODULES= modules
	mkdir -p "$3"
	find "$2" -name '*.ko' -exec cp -t "$3" {} +
}

noiommu() { # NAME OUT
	local src
	src=$(linux_source 6.1 drivers/vfio)/drivers/vfio
	cat >"$src/Kbuild" <<-'END'
		obj-m := vfio.o
		vfio-y := vfio_main.o iova_bitmap.o container.o
		ccflags-y := -DCONFIG_VFIO_NOIOMMU=1
	END
	build_modules "$1" "$src" "$2"
}

iommufd() { # NAME OUT
	local src flags="-DCONFIG_IOMMUFD_MODULE=1 -DCONFIG_VFIO_DEVICE_CDEV=1"
	src=$(linux_source 6.12 drivers/vfio drivers/iommu lib/interval_tree.c)
	# What CONFIG_INTERVAL_TREE_SPAN_ITER adds to the kernel proper has to come along.
	{
		echo "#include <linux/interval_tree.h>"
		sed -n '/^#ifdef CONFIG_INTERVAL_TREE_SPAN_ITER/,/^#endif/p' "$src/lib/interval_tree.c" |
			grep -v -e '^#' -e '^EXPORT_SYMBOL'
	} >"$src/drivers/iommu/iommufd/span_iter.c"
	src=$src/drivers
	echo "obj-m := iommu/iommufd/ vfio/ vfio/pci/" >"$src/Kbuild"
	cat >"$src/iommu/iommufd/Kbuild" <<-END
		obj-m := iommufd.o
		iommufd-y := device.o fault.o hw_pagetable.o io_pagetable.o ioas.o main.o pages.o vfio_compat.o \\
			span_iter.o
		ccflags-y := $flags
	END
	cat >"$src/vfio/Kbuild" <<-END
		obj-m := vfio.o
		vfio-y := vfio_main.o device_cdev.o group.o iommufd.o container.o virqfd.o
		ccflags-y := $flags
	END
	cat >"$src/vfio/pci/Kbuild" <<-END
		obj-m := vfio-pci-core.o vfio-pci.o
		vfio-pci-core-y := vfio_pci_core.o vfio_pci_intrs.o vfio_pci_rdwr.o vfio_pci_config.o
		vfio-pci-y := vfio_pci.o vfio_pci_igd.o
		ccflags-y := $flags
	END
	build_modules "$1" "$src" "$2"
}

uio() { # NAME OUT
	make -C "$top" --no-print-directory -s kmod KDIR="$(headers "$1")" KMOD_O="$dir/kmod/$1"
	mkdir -p "$2"
	cp "$dir/kmod/$1/hailo_uio.ko" "$2/"
}

modules() { # SET NAME
	local out=$dir/built/$1-$2
	# Ours may have changed.
	[ "$1" != uio ] && [ -e "$out/done" ] && return
	"$1" "$2" "$out"
	touch "$out/done"
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
root) root "$3" ;;
modules) modules "$3" "$4" ;;
*)
	sed -n '3,10s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

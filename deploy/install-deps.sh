#!/bin/sh
# SPDX-License-Identifier: MIT
# Install the Debian 12 packages that building needs; with --test also those the tests need,
# with --vm those of the tests in virtual machines.
set -eu
build="gcc libc6-dev make pkg-config protobuf-c-compiler libprotobuf-c-dev libonnx-dev libpci-dev
	libmicrohttpd-dev libcjson-dev libxxhash-dev zlib1g-dev libssl-dev libopenblas-dev curl
	ca-certificates"
tests="libcmocka-dev libonnx-testdata python3 clang libclang-rt-14-dev valgrind udev systemd
	sparse perl xz-utils libelf1 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static"
vm="qemu-system-x86 qemu-system-arm meson ninja-build libglib2.0-dev libpixman-1-dev libfdt-dev
	dpkg-dev kmod bison flex libelf-dev bc gcc-aarch64-linux-gnu libc6-dev-arm64-cross xz-utils"

case "${1:-}" in
"") want=$build ;;
--test) want="$build $tests" ;;
--vm) want="$build $vm" ;;
*)
	echo "usage: $0 [--test | --vm]" >&2
	exit 2
	;;
esac
missing=
for p in $want; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
sudo=
[ "$(id -u)" -eq 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get -qq update
# shellcheck disable=SC2086
$sudo apt-get -qq install -y --no-install-recommends $missing >/dev/null

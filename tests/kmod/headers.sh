#!/bin/bash
# SPDX-License-Identifier: MIT
# Kernel headers of Debian, unpacked and never installed.
#
#   headers.sh VERSION FLAVOUR    such as 6.1 amd64, 6.1 cloud-amd64, 6.12 arm64-16k; prints KDIR
#   headers.sh checkpatch         prints the path of checkpatch.pl out of linux-source
set -euo pipefail

debian=$(dirname "$0")/../support/debian.sh
cache=${HAILO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hailo-inference}/kernel
mkdir -p "$cache"

if [ "${1:-}" = checkpatch ]; then
	dir=$cache/checkpatch
	if [ ! -e "$dir/checkpatch.pl" ]; then
		"$debian" unpack "$dir/source" linux-source-6.12:all
		tar -C "$dir" --strip-components=2 -xf "$dir"/source/usr/src/linux-source-6.12.tar.* \
			linux-source-6.12/scripts/{spelling.txt,const_structs.checkpatch,checkpatch.pl}
		rm -r "$dir/source"
	fi
	echo "$dir/checkpatch.pl"
	exit
fi

version=$1 flavour=$2
arch=${flavour#cloud-}
arch=${arch%%-*}
case $version in
6.1) pattern='6\.1\.0-[0-9]+' ;;
*) pattern="${version//./\\.}\\.[0-9]+\\+deb12" ;;
esac
full=$("$debian" names "$arch" "linux-headers-$pattern-$flavour" | tail -1)
[ -n "$full" ] || {
	echo "headers.sh: Debian has no headers of $version for $flavour" >&2
	exit 1
}
abi=${full#linux-headers-}
abi=${abi%"-$flavour"}
case $version in
6.1) kbuild=6.1 ;;
*) kbuild=$abi ;;
esac
dir=$cache/$abi-$flavour
kdir=$dir/usr/src/$full
if [ ! -e "$dir/complete" ]; then
	rm -rf "$dir"
	# The tools are those of the machine that builds, whatever it builds for.
	"$debian" unpack "$dir" "$full:$arch" "linux-headers-$abi-common:all" \
		"linux-kbuild-$kbuild:$(dpkg --print-architecture)"
	# The one absolute path in a headers package.
	sed -i "s|/usr/src/linux-headers-$abi-common|$dir/usr/src/linux-headers-$abi-common|" \
		"$kdir/Makefile"
	touch "$dir/complete"
fi
echo "$kdir"

#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian packages of any architecture, unpacked and never installed.  An apt of its own (lists,
# caches, architectures) under HAILO_CACHE leaves the machine's apt and dpkg as they are; only the
# mirrors and keys are the machine's.  Downloads are kept.
#
#   debian.sh names ARCH REGEX           package names, oldest version first
#   debian.sh unpack DIR NAME:ARCH...    those packages
#   debian.sh sysroot ARCH DIR NAME...   those packages and all they depend on
#   debian.sh source DIR NAME            the sources of a package, into DIR
set -euo pipefail

cache=${HAILO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hailo-inference}/apt
conf=$cache/apt.conf
keys=/usr/share/keyrings/debian-archive-keyring.gpg

# The machine's own Debian mirrors, for both architectures and for sources.
sources() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' |
		sort -u | while read -r site release origin; do
		case "$origin $release" in
		*Debian*bookworm*) ;;
		*) continue ;;
		esac
		for type in deb deb-src; do
			echo "$type [arch=amd64,arm64 signed-by=$keys] $site $release main"
		done
	done
}

apt_of() { # ARCH COMMAND...: apt-get or apt-cache for one architecture
	local arch=$1 tool=$2
	shift 2
	"$tool" -qq -c "$conf" -o APT::Architecture="$arch" -o APT::Architectures::="$arch" "$@"
}

setup() {
	mkdir -p "$cache"/{lists/partial,archives/partial,empty}
	: >"$cache/status"
	cat >"$conf.new" <<-END
		Dir::State "$cache";
		Dir::State::lists "$cache/lists";
		Dir::State::status "$cache/status";
		Dir::Cache "$cache";
		Dir::Cache::archives "$cache/archives";
		Dir::Etc::sourcelist "$cache/sources.list";
		Dir::Etc::sourceparts "$cache/empty";
		Dir::Etc::preferencesparts "$cache/empty";
		APT::Sandbox::User "$(id -un)";
		APT::Install-Recommends "false";
		APT::Keep-Downloaded-Packages "true";
	END
	mv "$conf.new" "$conf"
	# Lists of a day ago are good enough; a mirror may have dropped what older ones name.
	if [ -z "$(find "$cache/updated" -mtime -1 2>/dev/null)" ]; then
		sources >"$cache/sources.list"
		[ -s "$cache/sources.list" ] || {
			echo "debian.sh: no Debian mirror is known to this machine's apt: run apt-get update" >&2
			exit 1
		}
		apt-get -qq -c "$conf" -o APT::Architecture=amd64 -o APT::Architectures::=amd64 \
			-o APT::Architectures::=arm64 update
		touch "$cache/updated"
	fi
}

file_of() { # NAME:ARCH: the package file, downloaded unless it is there
	local name=${1%:*} arch=${1#*:} line uri file
	line=$(apt_of "$arch" apt-get download --print-uris "$name" | head -1)
	uri=$(echo "$line" | cut -d"'" -f2)
	file=$(echo "$line" | cut -d' ' -f2)
	[ -n "$uri" ] || {
		echo "debian.sh: no package $1" >&2
		return 1
	}
	[ -e "$cache/archives/$file" ] ||
		(cd "$cache/archives/partial" && apt_of "$arch" apt-get download "$name" >&2 &&
			mv "$file" ..)
	echo "$cache/archives/$file"
}

# One at a time: the lists and archives are shared by all work trees of this user.
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
setup

case "${1:-}" in
names)
	apt_of "$2" apt-cache pkgnames | grep -E "^($3)\$" | sort -V
	;;
unpack)
	dir=$2
	shift 2
	mkdir -p "$dir"
	for p; do
		file=$(file_of "$p")
		dpkg-deb -x "$file" "$dir"
	done
	;;
sysroot)
	arch=$2 dir=$3
	shift 3
	mkdir -p "$dir"
	apt_of "$arch" apt-get install -y --download-only "$@" >/dev/null
	apt_of "$arch" apt-get install -s "$@" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' |
		while read -r name version; do
			for file in "$cache/archives/${name%:*}_${version//:/%3a}"_{"$arch",all}.deb; do
				[ ! -e "$file" ] || dpkg-deb -x "$file" "$dir"
			done
		done
	;;
source)
	dir=$2
	mkdir -p "$cache/sources"
	(cd "$cache/sources" && apt_of amd64 apt-get source --download-only "$3" >&2)
	rm -rf "$dir"
	# shellcheck disable=SC2012
	dpkg-source --no-check --no-copy -x "$(ls -t "$cache/sources/$3"_*.dsc | head -1)" "$dir" >/dev/null
	;;
*)
	sed -n '3,10s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

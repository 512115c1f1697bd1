#!/usr/bin/env bash
# Installs what Tandem needs on Debian 12 or Ubuntu: four OpenCV packages, and the ONNX Runtime library out of the npm
# package onnxruntime-node (unpacked only; none of its scripts runs). Does nothing that is already done.
#
#   install.sh [--test]     --test adds what only the tests use
#
# TANDEM_ONNXRUNTIME=FILE   use this ONNX Runtime library (>= 1.24) instead
# TANDEM_OPENCV=system      use the OpenCV that pkg-config or CGO_* flags name; install none
set -euo pipefail
cd "$(dirname "$0")/../.."

ort_version=1.30.0
ort_sha256=6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75
say() { printf 'deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"
	elif command -v sudo >/dev/null; then sudo "$@"
	else die "needs root for '$*' and there is no sudo: run that as root, then try again"
	fi
}

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_updated=
apt_install() {
	local missing=()
	for p in "$@"; do installed "$p" || missing+=("$p"); done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "this machine has no apt-get; install by hand: ${missing[*]}"
	say "installing ${missing[*]}"
	if [ -z "$apt_updated" ]; then as_root apt-get update -qq; apt_updated=1; fi
	DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

packages=()
command -v gcc >/dev/null && command -v g++ >/dev/null || packages+=(gcc g++ libc6-dev)
if [ "${TANDEM_OPENCV:-}" != system ]; then
	packages+=(libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev libopencv-videoio-dev)
fi
if [ "${1:-}" = --test ]; then packages+=(python3-onnx); fi
apt_install ${packages[@]+"${packages[@]}"}

# Another maker's NTP server and client for the tests. Its package would take over this machine's clock, so it is unpacked and not
# installed; where that fails the tests that need it are skipped and say so.
chrony=build/lib/chrony
if [ "${1:-}" = --test ] && ! command -v chronyd >/dev/null && [ ! -x $chrony/usr/sbin/chronyd ] && command -v apt-get >/dev/null; then
	say "unpacking chrony into $chrony"
	rm -rf $chrony.new && mkdir -p $chrony.new
	apt_install libcap2 libedit2 libgnutls30 libnettle8 libseccomp2 ||
		apt_install libcap2 libedit2 libgnutls30t64 libnettle8t64 libseccomp2 || true
	if (cd $chrony.new && apt-get download -qq chrony >/dev/null 2>&1 && dpkg -x chrony_*.deb . && rm chrony_*.deb) &&
		$chrony.new/usr/sbin/chronyd --version >/dev/null 2>&1; then
		rm -rf $chrony && mv $chrony.new $chrony
	else
		rm -rf $chrony.new
		say "chrony can't be had: its tests will be skipped"
	fi
fi

if [ -n "${TANDEM_ONNXRUNTIME:-}" ]; then
	[ -r "$TANDEM_ONNXRUNTIME" ] || die "TANDEM_ONNXRUNTIME names $TANDEM_ONNXRUNTIME, which cannot be read"
	exit 0
fi
lib=build/lib/libonnxruntime.so.1
stamp=build/lib/onnxruntime.version
[ -s "$lib" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$ort_version" ] && exit 0

case "$(uname -s)-$(uname -m)" in
Linux-x86_64) arch=x64 ;;
Linux-aarch64 | Linux-arm64) arch=arm64 ;;
*) die "no ONNX Runtime is packed for $(uname -s) $(uname -m): build or install >= 1.24 and set TANDEM_ONNXRUNTIME=FILE" ;;
esac
command -v npm >/dev/null || apt_install npm
say "fetching ONNX Runtime $ort_version (npm package onnxruntime-node, 108 MB)"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --ignore-scripts --silent "onnxruntime-node@$ort_version" >/dev/null) ||
	die "npm could not fetch onnxruntime-node@$ort_version"
tarball=$tmp/onnxruntime-node-$ort_version.tgz
got=$(sha256sum "$tarball" | cut -d' ' -f1)
[ "$got" = "$ort_sha256" ] || die "onnxruntime-node-$ort_version.tgz has SHA-256 $got, expected $ort_sha256: not used"
tar -xzf "$tarball" -C "$tmp" "package/bin/napi-v6/linux/$arch/libonnxruntime.so.1"
mkdir -p build/lib
# Renamed into place last, so that a cut leaves no half library behind.
mv "$tmp/package/bin/napi-v6/linux/$arch/libonnxruntime.so.1" "$lib.new"
mv "$lib.new" "$lib"
echo "$ort_version" >"$stamp"
say "ONNX Runtime $ort_version is in $lib"

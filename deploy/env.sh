# Build settings for gocv. `. deploy/env.sh` in a shell makes plain `go build`, `go test` and editors
# work; the Makefile uses the same file. Values that are already set win.
tandem_root=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
if [ "${TANDEM_OPENCV:-}" != system ]; then
	export CGO_CPPFLAGS="${CGO_CPPFLAGS:--I$tandem_root/deploy/opencv -I/usr/include/opencv4}"
	export CGO_LDFLAGS="${CGO_LDFLAGS:--lopencv_core -lopencv_imgproc -lopencv_imgcodecs -lopencv_videoio}"
	export CGO_CXXFLAGS="${CGO_CXXFLAGS:---std=c++11 -O2}"
fi
case "${GOFLAGS:-}" in
*-tags=*) ;;
*) export GOFLAGS="${GOFLAGS:+$GOFLAGS }-tags=customenv,gocv_specific_modules,gocv_videoio" ;;
esac
# What the tests use of other makers and is not installed.
[ ! -d "$tandem_root/build/lib/chrony" ] || export PATH="$PATH:$tandem_root/build/lib/chrony/usr/sbin"

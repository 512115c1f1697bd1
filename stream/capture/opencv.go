//go:build !customenv

package capture

// Without the tag customenv, gocv finds OpenCV by pkg-config; the few lines of C++ here do the same.

// #cgo !windows pkg-config: opencv4
// #cgo CXXFLAGS: --std=c++11
import "C"

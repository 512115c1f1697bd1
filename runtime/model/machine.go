package model

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"tandem/runtime/ort"
)

// machine names what a measurement depends on beside the bundle and the options: processor, NVIDIA's driver and cards, and the
// file of ONNX Runtime, which may be another build of the same version.
func machine() string {
	parts := []string{runtime.GOOS, runtime.GOARCH, processor("/proc/cpuinfo")}
	for _, path := range append(glob("/proc/driver/nvidia/version"), glob("/proc/driver/nvidia/gpus/*/information")...) {
		if text, err := os.ReadFile(path); err == nil {
			parts = append(parts, strings.Join(strings.Fields(string(text)), " "))
		}
	}
	if st, err := os.Stat(ort.LibraryPath()); err == nil {
		parts = append(parts, fmt.Sprintf("%s of %d bytes, %d", filepath.Base(ort.LibraryPath()), st.Size(), st.ModTime().Unix()))
	}
	return strings.Join(parts, "; ")
}

func glob(pattern string) []string {
	list, err := filepath.Glob(pattern)
	if err != nil {
		return nil
	}
	return list
}

// processor returns the first model name of a cpuinfo file and how many processors can be used.
func processor(path string) string {
	name := "unknown processor"
	if f, err := os.Open(path); err == nil {
		defer f.Close() //nolint:errcheck // only read
		for lines := bufio.NewScanner(f); lines.Scan(); {
			key, value, ok := strings.Cut(lines.Text(), ":")
			if k := strings.TrimSpace(key); ok && (k == "model name" || k == "Model") {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s x%d", name, runtime.NumCPU())
}

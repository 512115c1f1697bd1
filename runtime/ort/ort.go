// Package ort runs ONNX models on ONNX Runtime: it finds and loads the library, chooses an execution provider, opens
// sessions and runs them on preallocated tensors without allocating.
//
// It is a thin layer over github.com/yalue/onnxruntime_go that every other package uses, so that one place decides
// threads, providers and error texts. It imports nothing of Tandem's.
package ort

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	onnx "github.com/yalue/onnxruntime_go"
)

// MinVersion is the oldest ONNX Runtime that can be used.
const MinVersion = "1.24"

// LibraryEnv names the environment variable that points at the ONNX Runtime library.
const LibraryEnv = "TANDEM_ONNXRUNTIME"

// ErrLibrary is wrapped by errors about the ONNX Runtime library itself: not found, not loadable, too old.
var ErrLibrary = errors.New("ONNX Runtime library")

var library struct {
	sync.Mutex
	path string // of the library that is loaded; empty before Init succeeded
}

// Init loads the ONNX Runtime library at path once for the process. An empty path lets FindLibrary choose. Calling Init
// again is cheap; naming another file than the loaded one is an error, since a process holds one ONNX Runtime. After an
// error another library may be tried. Open and NewTensor call Init(""), so that only a program with a choice to make
// needs to.
func Init(path string) error {
	library.Lock()
	defer library.Unlock()
	if library.path != "" {
		if path != "" && !sameFile(path, library.path) {
			return fmt.Errorf("%w: %s is loaded already, cannot also load %s", ErrLibrary, library.path, path)
		}
		return nil
	}
	if path == "" {
		var err error
		if path, err = FindLibrary(); err != nil {
			return err
		}
	}
	if filepath.Base(path) != path { // a bare name is the system loader's to find
		var err error
		if path, err = filepath.Abs(path); err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("%w: %w; %s", ErrLibrary, err, advice)
		}
	}
	onnx.SetSharedLibraryPath(path)
	if err := onnx.InitializeEnvironment(onnx.WithLogLevelError()); err != nil {
		if strings.HasSuffix(err.Error(), tooOld) {
			err = fmt.Errorf("it is older than ONNX Runtime %s: %w", MinVersion, err)
		}
		return fmt.Errorf("%w: %s could not be loaded: %w; %s", ErrLibrary, path, err, advice)
	}
	if err := onnx.DisableTelemetry(); err != nil {
		return errors.Join(fmt.Errorf("%w: switch telemetry off: %w", ErrLibrary, err), onnx.DestroyEnvironment())
	}
	library.path = path
	return nil
}

// tooOld is how onnxruntime_go says that a library doesn't have the version of the interface that it wants.
const tooOld = "ORT API base: 2"

// advice is what to do without a library.
const advice = "run `make deps`, or set " + LibraryEnv + " to the file of an ONNX Runtime >= " + MinVersion

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// Version returns the version of the loaded library ("1.30.0"), or "" before Init.
func Version() string {
	library.Lock()
	defer library.Unlock()
	if library.path == "" {
		return ""
	}
	return onnx.GetVersion()
}

// LibraryPath returns the file that is loaded, or "" before Init.
func LibraryPath() string {
	library.Lock()
	defer library.Unlock()
	return library.path
}

// FindLibrary returns the ONNX Runtime library to load: the file that TANDEM_ONNXRUNTIME names; else
// libonnxruntime.so.1 beside the running binary, in ../lib of it, in build/lib of the working directory or of a parent
// that holds a go.mod; else the name alone, for the system's loader to find.
func FindLibrary() (string, error) {
	if p := os.Getenv(LibraryEnv); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("%w: %s names a file that cannot be used: %w; set it to the file of an ONNX Runtime >= %s, or unset it",
				ErrLibrary, LibraryEnv, err, MinVersion)
		}
		return filepath.Abs(p)
	}
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe)
		dirs = append(dirs, dir, filepath.Join(dir, "..", "lib"))
	}
	if dir, err := os.Getwd(); err == nil {
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				dirs = append(dirs, filepath.Join(dir, "build", "lib"))
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	for _, d := range dirs {
		for _, name := range libraryNames {
			p := filepath.Join(d, name)
			if _, err := os.Stat(p); err == nil {
				return filepath.Abs(p)
			}
		}
	}
	return libraryNames[0], nil
}

// Quiet keeps the library from writing its own errors to the standard error stream, for programs that say themselves what
// they found. Errors are returned as ever.
func Quiet() error {
	if err := Init(""); err != nil {
		return err
	}
	return onnx.SetEnvironmentLogLevel(onnx.LoggingLevelFatal)
}

// Package onnxtest checks emitted models in tests with the checker of the ONNX project.
package onnxtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// python is Debian's interpreter, for which python3-onnx is packaged.
const python = "/usr/bin/python3"

const script = `
import sys, onnx
bad = 0
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(onnx.load(path), full_check=True)
    except Exception as e:
        bad += 1
        print(path, e)
sys.exit(1 if bad else 0)
`

// Check runs onnx.checker, shape inference included, once over all models, which have their names as keys. It skips the
// test where the checker is not installed.
func Check(t *testing.T, models map[string][]byte) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import onnx").CombinedOutput(); err != nil {
		t.Skipf("needs Debian's python3-onnx: %v: %s", err, strings.TrimSpace(string(out)))
	}
	dir := t.TempDir()
	args := []string{"-c", script}
	for name, model := range models {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_")+".onnx")
		if err := os.WriteFile(path, model, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput(); err != nil {
		t.Errorf("onnx.checker refuses emitted models: %v\n%s", err, out)
	}
}

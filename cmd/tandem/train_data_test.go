package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tandem/trainer/dataset/npy"
)

// trainSet writes a two-stream data set of five takes with 60 frames of three steps, seen alike by both views, and one
// fold.
func trainSet(t *testing.T) string {
	t.Helper()
	return trainSetOf(t, 3)
}

// trainSetOf is trainSet with so many features a frame.
func trainSetOf(t *testing.T, dim int) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "pumps")
	rng := rand.New(rand.NewPCG(3, 4))
	const frames = 60
	for _, take := range []string{"a", "b", "c", "d", "e"} {
		var text strings.Builder
		exo, ego := make([]float32, 0, dim*frames), make([]float32, 0, dim*frames)
		for f, c := 0, rng.IntN(3); f < frames; c = (c + 1 + rng.IntN(2)) % 3 {
			for range 8 + rng.IntN(8) {
				if f++; f > frames {
					break
				}
				fmt.Fprintf(&text, "step_%d\n", c)
				for d := range dim {
					on := float32(0)
					if d%3 == c {
						on = 2
					}
					exo = append(exo, on+0.3*float32(rng.NormFloat64()))
					ego = append(ego, -on+0.3*float32(rng.NormFloat64()))
				}
			}
		}
		putArray(t, root, "features_exo/"+take+".npy", dim, exo)
		putArray(t, root, "features_ego/"+take+".npy", dim, ego)
		putText(t, root, "groundTruth/"+take+".txt", text.String())
		putText(t, root, "groundTruth_ego/"+take+".txt", text.String())
	}
	putText(t, root, "mapping.txt", "0 step_0\n1 step_1\n2 step_2\n")
	putText(t, root, "splits/train.split1.bundle", "a\nb\nc\nd\n")
	putText(t, root, "splits/test.split1.bundle", "e\n")
	return root
}

func putText(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// putArray writes frames of so many features as a [D, T] array.
func putArray(t *testing.T, root, name string, dim int, values []float32) {
	t.Helper()
	frames := len(values) / dim
	var buf bytes.Buffer
	w, err := npy.NewWriter(&buf, npy.Float32, false, dim, frames)
	if err != nil {
		t.Fatal(err)
	}
	turned := make([]float32, 0, len(values))
	for d := range dim {
		for f := range frames {
			turned = append(turned, values[f*dim+d])
		}
	}
	if err := w.Floats(turned); err != nil {
		t.Fatal(err)
	}
	putText(t, root, name, buf.String())
}

// quickTraining are flags for a training of some milliseconds.
func quickTraining(command, root string, more ...string) []string {
	return append(append(strings.Fields(command), "--data", root, "--epochs", "1", "--channels", "4", "--layers", "2"), more...)
}

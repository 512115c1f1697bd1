package dataset

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npy"
)

// put writes a file of a test's data set.
func put(t testing.TB, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// numpy returns an array file of shape [rows, columns], row by row as NumPy writes it. The values are the library's
// business, the header is ours, since the library writes no two axes of float32.
func numpy(t testing.TB, rows, columns int, value func(row, column int) float32) string {
	t.Helper()
	data := make([]float32, 0, rows*columns)
	for r := range rows {
		for c := range columns {
			data = append(data, value(r, c))
		}
	}
	var buf bytes.Buffer
	if err := npy.Write(&buf, data); err != nil {
		t.Fatal(err)
	}
	text := buf.String()
	shape := fmt.Sprintf("(%d, %d), }", rows, columns)
	was := fmt.Sprintf("(%d,), }", rows*columns)
	grown := strings.Repeat(" ", len(shape)-len(was)) // the padding makes room
	if !strings.Contains(text, was+grown) {
		t.Fatalf("the library's header is %q", text[:128])
	}
	return strings.Replace(text, was+grown, shape, 1)
}

// at is the value of feature d of frame i in the views of small.
func at(view string, d, i int) float32 { return float32(len(view)*1000 + d*100 + i) }

// small writes a data set of four takes, two-stream: a, b, c and d of 6 to 9 frames. Frames 0 and 1 are background, then
// one, then two from frame 4 on.
func small(t testing.TB) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "small")
	for i, take := range []string{"a", "b", "c", "d"} {
		n := 6 + i
		for view, dim := range map[string]int{"exo": 3, "ego2": 2} {
			put(t, root, "features_"+view+"/"+take+".npy", numpy(t, dim, n, func(d, i int) float32 { return at(view, d, i) }))
		}
		put(t, root, "groundTruth/"+take+".txt", labelText(n))
	}
	put(t, root, "mapping.txt", "0 background\n1 one\n2 two\n")
	put(t, root, "splits/train.split1.bundle", "a.txt\nb.txt\n")
	put(t, root, "splits/test.split1.bundle", "c.txt\nd.txt\n")
	put(t, root, "splits/train.split2.bundle", "c\nd\n")
	put(t, root, "splits/test.split2.bundle", "a\nb\n")
	return root
}

func labelText(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = []string{"background", "one", "two"}[min(i/2, 2)]
	}
	return strings.Join(lines, "\n") + "\n"
}

// open opens a data set that is all right.
func open(t testing.TB, dir string, o Options) *Dataset {
	t.Helper()
	d, err := Open(t.Context(), dir, Auto, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// features reads features that are all right.
func features(t testing.TB, d *Dataset, take, view string) *Features {
	t.Helper()
	x, ok := d.Take(take)
	if !ok {
		t.Fatalf("there is no take %s", take)
	}
	f, err := x.Features(t.Context(), view)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var nan = float32(math.NaN())

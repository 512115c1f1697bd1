package dataset

import (
	"fmt"
	"testing"
)

// Features of one minute at 30 Hz with 2048 features, as NumPy writes [D, T] and as Import does.
func BenchmarkFeatures(b *testing.B) {
	const dim, samples = 2048, 1800
	root := b.TempDir()
	for _, take := range []string{"a", "b"} {
		put(b, root, "features/"+take+".npy", numpy(b, dim, samples, func(d, i int) float32 { return float32(d - i) }))
	}
	put(b, root, "splits/train.split1.bundle", "a\n")
	put(b, root, "splits/test.split1.bundle", "b\n")
	d, err := Open(b.Context(), root, "ms-tcn", Options{CacheBytes: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	own := b.TempDir()
	if _, err := d.Import(b.Context(), own, nil); err != nil {
		b.Fatal(err)
	}
	for _, dir := range []string{root, own} {
		x := open(b, dir, Options{CacheBytes: -1, Folds: 2})
		b.Run(fmt.Sprint(x.Format), func(b *testing.B) {
			b.SetBytes(4 * dim * samples)
			for b.Loop() {
				features(b, x, "a", "exo")
			}
		})
	}
}

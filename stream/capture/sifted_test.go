package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestOnlyWantedFramesHaveTheirPictures: with and without a sieve the same frames come with the same stamps, whatever the codec does to
// their order, and those that are wanted with the same pictures.
func TestOnlyWantedFramesHaveTheirPictures(t *testing.T) {
	dir := t.TempDir()
	damaged := movie{width: 160, height: 120, ticks: evenTicks(20)}.bytes(t)
	at := bytes.Index(damaged, []byte("mdat")) + 4
	for range 3 {
		at += 2 + bytes.Index(damaged[at+2:], []byte{0xFF, 0xD8, 0xFF})
	}
	clear(damaged[at:][:700])
	whole := movie{width: 160, height: 120, ticks: evenTicks(20), indexFirst: true}.bytes(t)
	for name, c := range map[string]struct {
		path string
		loop bool
	}{
		"mp4":      {path: writeVideo(t, filepath.Join(dir, "a.mp4"), "mp4v", 160, 120, 40)},
		"avi":      {path: writeVideo(t, filepath.Join(dir, "a.avi"), "MJPG", 160, 120, 40)},
		"loop":     {path: writeVideo(t, filepath.Join(dir, "l.mp4"), "mp4v", 160, 120, 10), loop: true},
		"damaged":  {path: writeFile(t, filepath.Join(dir, "damaged.mp4"), string(damaged))},
		"cut off":  {path: writeFile(t, filepath.Join(dir, "cut.mp4"), string(whole[:len(whole)*2/3]))},
		"pictures": {path: pictureDirectory(t, 12)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Source: c.path, Start: epoch, FPS: 30, Loop: c.loop}
			all, plain := sift(t, cfg, 60)
			asked := 0
			cfg.Wants = func(int64) bool { asked++; return asked%3 == 1 }
			some, sifted := sift(t, cfg, 60)
			if len(all) != len(some) || len(all) < 8 {
				t.Fatalf("%d frames, without a sieve %d", len(some), len(all))
			}
			made := 0
			for i, x := range some {
				if x.bare && filepath.Ext(c.path) != "" {
					all[i].number, x.number = -1, -1
				} else {
					made++
				}
				all[i].bare = x.bare
				if x != all[i] {
					t.Errorf("frame %d: %+v, without a sieve %+v", i, x, all[i])
				}
			}
			if want := (len(all) + 2) / 3; made != want && filepath.Ext(c.path) != "" {
				t.Errorf("%d of %d frames have pictures, want %d", made, len(all), want)
			}
			a, b := plain.Stats(), sifted.Stats()
			if a.DecodeErrors != b.DecodeErrors || a.Missing != b.Missing || a.Truncated != b.Truncated || a.Passes != b.Passes && !c.loop {
				t.Errorf("counts %+v, without a sieve %+v", b, a)
			}
		})
	}
}

type sieved struct {
	seen
	bare bool
}

// sift reads at most so many frames.
func sift(t *testing.T, cfg Config, most int) (all []sieved, _ *Capture) {
	t.Helper()
	c := mustOpen(t, cfg)
	for len(all) < most {
		f, err := c.Next(t.Context())
		if err != nil {
			break
		}
		x := sieved{seen{-1, f.Index, f.Raw, f.Time, f.RawKind, f.Width, f.Height, 3}, f.Bare}
		if !f.Bare {
			x.seen = see(t, f)
		}
		all = append(all, x)
		c.Release(f)
	}
	return all, c
}

func pictureDirectory(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pictures")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		writePicture(t, filepath.Join(dir, string(rune('a'+i))+".png"), picture8(160, 120, i))
	}
	return dir
}

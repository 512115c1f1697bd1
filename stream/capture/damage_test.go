package capture

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestBadFilesGetOneClearError(t *testing.T) {
	dir := t.TempDir()
	whole := writeVideo(t, filepath.Join(dir, "whole.mp4"), "mp4v", 160, 120, 10)
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, content string) string { return writeFile(t, filepath.Join(dir, name), content) }
	secret := file("secret.mp4", string(data))
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source string
		is     error
		says   string
	}{
		"missing":         {filepath.Join(dir, "none.mp4"), fs.ErrNotExist, "check the path"},
		"number":          {"0", fs.ErrNotExist, "written v4l2:0"},
		"empty":           {file("empty.mp4", ""), ErrNoFrames, "0 bytes"},
		"text":            {file("text.mp4", "this is no video\n"), ErrNotVideo, `begins with "this is no video"`},
		"no index":        {file("cut.mp4", string(data[:len(data)*2/3])), ErrNotVideo, "without its index (moov box)"},
		"no frames mp4":   {writeVideo(t, filepath.Join(dir, "zero.mp4"), "mp4v", 160, 120, 0), ErrNoFrames, "without a single picture"},
		"no frames avi":   {writeVideo(t, filepath.Join(dir, "zero.avi"), "MJPG", 160, 120, 0), ErrNoFrames, "holds no picture"},
		"sound only":      {movie{width: 160, height: 120, ticks: evenTicks(3), handler: "soun"}.write(t, filepath.Join(dir, "sound.mp4")), ErrNoFrames, "without a single picture"},
		"unknown codec":   {file("codec.mp4", strings.Replace(string(movie{width: 160, height: 120, ticks: evenTicks(3)}.bytes(t)), "jpeg", "zzzz", 1)), ErrNotVideo, `codec "zzzz"`},
		"no source":       {" ", nil, "source is empty"},
		"empty directory": {t.TempDir(), ErrNoFrames, "holds no pictures"},
		"pipe":            {pipe, nil, "neither a file nor a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), quiet(Config{Source: c.source, FPS: 30}))
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v\nwant %v and %q", err, c.is, c.says)
			}
			if _, probeErr := Probe(t.Context(), quiet(Config{Source: c.source, FPS: 30})); probeErr == nil || probeErr.Error() != err.Error() {
				t.Errorf("Probe: %v\nOpen:  %v", probeErr, err)
			}
		})
	}
	t.Run("unreadable", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may read everything")
		}
		_, err := Open(t.Context(), Config{Source: secret})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "let this user read it") {
			t.Error(err)
		}
	})
}

func TestAFileThatBreaksOffIsCountedAndNotSilent(t *testing.T) {
	dir := t.TempDir()
	cut := func(name string, data []byte, part float64) string {
		return writeFile(t, filepath.Join(dir, name), string(data[:int(float64(len(data))*part)]))
	}
	mp4 := movie{width: 160, height: 120, ticks: evenTicks(20), indexFirst: true}.bytes(t)
	avi, err := os.ReadFile(writeVideo(t, filepath.Join(dir, "whole.avi"), "MJPG", 160, 120, 20))
	if err != nil {
		t.Fatal(err)
	}
	mkv, err := os.ReadFile(writeVideo(t, filepath.Join(dir, "whole.mkv"), "mp4v", 160, 120, 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cut("cut.mp4", mp4, 0.6), cut("cut.avi", avi, 0.6), cut("cut.mkv", mkv, 0.6)} {
		t.Run(filepath.Ext(path), func(t *testing.T) {
			all, c := mustReadAll(t, Config{Source: path})
			st := c.Stats()
			if len(all) == 0 || len(all) >= 20 {
				t.Fatalf("%d frames", len(all))
			}
			if st.Truncated != 1 || st.Missing+st.Read != 20 || !strings.Contains(st.Warning, "broke off") || !c.Info().Truncated {
				t.Fatalf("stats %+v, info %+v", st, c.Info())
			}
			// A sidecar that is whole while its video isn't is no second error.
			writeStamps(t, path, slices.Repeat([]int64{epoch}, 20)...)
			if again, c := mustReadAll(t, Config{Source: path}); len(again) != len(all) || c.Stats().Truncated != 1 {
				t.Fatalf("with a sidecar: %d frames, %+v", len(again), c.Stats())
			}
		})
	}
}

// OpenCV says of a damaged frame what it says of the end. Reading goes on behind it, with the right stamps.
func TestDamagedFramesAreCountedAndKeepTheirPlaces(t *testing.T) {
	data := movie{width: 160, height: 120, ticks: evenTicks(20)}.bytes(t)
	frames := bytes.Index(data, []byte("mdat")) + 4
	for range 3 {
		frames += 2 + bytes.Index(data[frames+2:], []byte{0xFF, 0xD8, 0xFF})
	}
	clear(data[frames:][:700])
	path := writeFile(t, filepath.Join(t.TempDir(), "a.mp4"), string(data))
	check := func(cfg Config, raw func(i int64) int64) {
		t.Helper()
		all, c := mustReadAll(t, cfg)
		if len(all) != 19 {
			t.Fatalf("%d frames, want 19 of 20", len(all))
		}
		for i, s := range all {
			want := int64(i)
			if i >= 3 {
				want++
			}
			if s.number != int(want) || s.index != want || abs(s.raw-raw(want)) > 1000 {
				t.Fatalf("frame %d: %+v, want number %d", i, s, want)
			}
		}
		if st := c.Stats(); st.DecodeErrors != 1 || st.Missing != 0 || st.Truncated != 0 || st.Warning != "frames are damaged" {
			t.Fatalf("%+v", st)
		}
	}
	check(Config{Source: path}, func(i int64) int64 { return i * 1e9 / 30 })
	stamps := make([]int64, 20)
	for i := range stamps {
		stamps[i] = epoch + int64(i*i)
	}
	writeStamps(t, path, stamps...)
	check(Config{Source: path}, func(i int64) int64 { return stamps[i] })
}

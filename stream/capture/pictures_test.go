package capture

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/stream/frame"
)

func TestADirectoryOfPicturesInNaturalOrder(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a2.png", "a10.jpg", "a10b.png", "b1.PNG"} {
		writePicture(t, filepath.Join(dir, strings.ToLower(name)), picture8(61+i, 47, i))
	}
	if err := os.Rename(filepath.Join(dir, "b1.png"), filepath.Join(dir, "b1.PNG")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "notes.txt"), "no picture")
	writeFile(t, filepath.Join(dir, ".hidden.png"), "no picture")
	all, c := mustReadAll(t, Config{Source: dir, FPS: 10, Start: epoch})
	if len(all) != 4 {
		t.Fatalf("%d pictures, want 4", len(all))
	}
	for i, s := range all {
		if s.number != i || s.width != 61+i || s.raw != int64(i)*100e6 || s.time != epoch+s.raw || s.kind != frame.Nominal {
			t.Fatalf("picture %d: %+v", i, s)
		}
	}
	if info := c.Info(); info.Kind != KindPictures || info.Backend != "pictures" || info.Frames != 4 || info.FPS != 10 || info.Codec != "png" {
		t.Fatalf("%+v", info)
	}
	if st := c.Stats(); st.SizeChanges != 3 || st.Missing != 0 {
		t.Fatalf("%+v", st)
	}
}

func TestANumberedPatternKeepsItsGaps(t *testing.T) {
	dir := t.TempDir()
	for i, n := range []int{7, 8, 11, 100_000_0} {
		writePicture(t, filepath.Join(dir, fmt.Sprintf("f%06d.png", n)), picture8(60, 40, i))
	}
	for _, other := range []string{"f9.png", "g000009.png", "f000009.jpg", "f0000012.png", "f00x009.png"} {
		writePicture(t, filepath.Join(dir, other), picture8(60, 40, 99))
	}
	all, c := mustReadAll(t, Config{Source: filepath.Join(dir, "f%06d.png"), FPS: 10, Start: epoch})
	var raws []int64
	for i, s := range all {
		if s.number != i || s.index != int64(i) {
			t.Fatalf("picture %d: %+v", i, s)
		}
		raws = append(raws, s.raw/1e6)
	}
	if !slices.Equal(raws, []int64{0, 100, 400, 99_999_300}) {
		t.Fatalf("times %v ms", raws)
	}
	if st := c.Stats(); st.Missing != 999_990 || st.Truncated != 0 {
		t.Fatalf("%+v", st)
	}
	if all, _ := mustReadAll(t, Config{Source: filepath.Join(dir, "f%d.png"), FPS: 10}); len(all) != 2 { // f9, f1000000
		t.Fatalf("%%d fits %d pictures, want 2", len(all))
	}
}

func TestPicturesComeAsEightBitGreyOrBGR(t *testing.T) {
	dir := t.TempDir()
	box := image.Rect(0, 0, 12, 8)
	grey, deep, clear := image.NewGray(box), image.NewGray16(box), image.NewNRGBA(box)
	for y := range 8 {
		for x := range 12 {
			grey.SetGray(x, y, color.Gray{200})
			deep.SetGray16(x, y, color.Gray16{200 << 8})
			clear.SetNRGBA(x, y, color.NRGBA{R: 1, G: 2, B: 200, A: 128})
		}
	}
	for i, img := range []image.Image{grey, deep, clear} {
		writePicture(t, filepath.Join(dir, fmt.Sprintf("%d.png", i)), img)
	}
	c := mustOpen(t, Config{Source: dir, FPS: 1})
	for i, channels := range []int{1, 1, 3} {
		f, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pix, err := f.Mat.DataPtrUint8()
		if err != nil || f.Mat.Channels() != channels || pix[0] != 200 {
			t.Fatalf("picture %d: %d channels, first byte %d, %v", i, f.Mat.Channels(), pix[0], err)
		}
		c.Release(f)
	}
}

func TestBrokenPicturesAreCountedAndPassedOver(t *testing.T) {
	dir := t.TempDir()
	for i := range 4 {
		writePicture(t, filepath.Join(dir, fmt.Sprintf("%d.png", i)), picture8(60, 40, i))
	}
	writeFile(t, filepath.Join(dir, "1.png"), "no picture")
	data, err := os.ReadFile(filepath.Join(dir, "2.png"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "2.png"), string(data[:20]))
	writeStamps(t, dir, 10, 20, 30, 40)
	all, c := mustReadAll(t, Config{Source: dir})
	if len(all) != 2 || all[1].number != 3 || all[1].index != 3 || all[1].raw != 40 || all[1].kind != frame.Sidecar {
		t.Fatalf("%+v", all)
	}
	if st := c.Stats(); st.DecodeErrors != 2 || st.Read != 2 || !strings.Contains(st.Warning, "2.png is damaged") {
		t.Fatalf("%+v", st)
	}
	for _, i := range []int{0, 3} {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("%d.png", i)), "no picture")
	}
	if _, err := Open(t.Context(), quiet(Config{Source: dir})); !errors.Is(err, ErrNoFrames) || !strings.Contains(err.Error(), "none of 4 pictures") {
		t.Fatalf("all broken: %v", err)
	}
}

func TestBadPictureSources(t *testing.T) {
	dir := t.TempDir()
	writePicture(t, filepath.Join(dir, "f1.png"), picture8(60, 40, 0))
	writePicture(t, filepath.Join(dir, "h99999999999999.png"), picture8(60, 40, 0))
	for name, c := range map[string]struct {
		cfg  Config
		is   error
		says string
	}{
		"no rate":        {Config{Source: dir}, nil, "set FPS"},
		"nothing fits":   {Config{Source: filepath.Join(dir, "f%06d.png"), FPS: 1}, ErrNoFrames, "number of digits"},
		"two numbers":    {Config{Source: filepath.Join(dir, "f%d-%d.png"), FPS: 1}, nil, "2 places"},
		"no directory":   {Config{Source: filepath.Join(dir, "no", "f%06d.png"), FPS: 1}, fs.ErrNotExist, ""},
		"large number":   {Config{Source: filepath.Join(dir, "h%d.png"), FPS: 1}, nil, "too large"},
		"misfit sidecar": {Config{Source: dir, StampsFile: writeStamps(t, filepath.Join(dir, "s"), 1, 2, 3)}, ErrStamps, "3 rows for 2 frames"},
	} {
		if _, err := Open(t.Context(), quiet(c.cfg)); err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v and %q", name, err, c.is, c.says)
		}
	}
}

func TestNaturalOrder(t *testing.T) {
	want := []string{"", "1", "01", "2", "10", "a", "a1", "a01", "a1b", "a2", "a10", "b"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNatural)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

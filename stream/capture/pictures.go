package capture

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gocv.io/x/gocv"

	"tandem/stream/frame"
)

// pictures is an image sequence: the files of a directory, or those that fit a numbered pattern.
type pictures struct {
	dir    string
	files  []picture
	fps    float64 // 0 where the sidecar has the times
	at     int
	gaps   int64 // numbers between the first and the last that have no file
	width  int
	height int
}

// picture is one file of a sequence; its number tells when it was taken.
type picture struct {
	name   string
	number int64
}

var pictureExts = []string{".bmp", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}

// patternRE finds the one place of a pattern where the number stands.
var patternRE = regexp.MustCompile(`%(0?)([0-9]{0,2})d`)

func hasPattern(base string) bool { return patternRE.MatchString(base) }

// openPictures lists the files. A directory's are taken in natural order (2 before 10), one frame period apart; a
// pattern's in the order of their numbers, which count frame periods, so that a gap in them stays a gap in time.
func openPictures(t target, cfg Config) (input, error) {
	p := &pictures{fps: cfg.FPS}
	var err error
	if st, statErr := os.Stat(t.arg); statErr == nil && st.IsDir() {
		p.dir = t.arg
		p.files, err = listDirectory(t.arg)
	} else {
		p.dir = filepath.Dir(t.arg)
		p.files, err = listPattern(p.dir, filepath.Base(t.arg))
	}
	if err != nil {
		return nil, err
	}
	last := len(p.files) - 1
	p.gaps = p.files[last].number - p.files[0].number - int64(last)
	return p, nil
}

func listDirectory(dir string) ([]picture, error) {
	names, err := fileNames(dir)
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return strings.HasPrefix(name, ".") || !slices.Contains(pictureExts, strings.ToLower(filepath.Ext(name)))
	})
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: the directory holds no pictures (%s); want those, or the path of one video", ErrNoFrames, strings.Join(pictureExts, " "))
	}
	slices.SortFunc(names, compareNatural)
	files := make([]picture, len(names))
	for i, name := range names {
		files[i] = picture{name, int64(i)}
	}
	return files, nil
}

func listPattern(dir, pattern string) ([]picture, error) {
	place := patternRE.FindAllStringSubmatchIndex(pattern, -1)
	if len(place) != 1 {
		return nil, fmt.Errorf("pattern %q has %d places for a number; want one, such as %%06d", pattern, len(place))
	}
	m := place[0]
	prefix, suffix := pattern[:m[0]], pattern[m[1]:]
	padded := m[2] != m[3]
	width, _ := strconv.Atoi(pattern[m[4]:m[5]]) // at most two digits, or none
	names, err := fileNames(dir)
	if err != nil {
		return nil, err
	}
	var files []picture
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
		digits, ok2 := strings.CutSuffix(rest, suffix)
		if !ok || !ok2 || digits == "" || strings.Trim(digits, "0123456789") != "" {
			continue
		}
		// As printf would write it: padded to the width with zeros, and with no zero more.
		if padded && len(digits) < width || digits[0] == '0' && len(digits) > max(width, 1) || !padded && digits[0] == '0' && len(digits) > 1 {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > 1<<40 {
			return nil, fmt.Errorf("picture %s: number %s is too large", filepath.Join(dir, name), digits)
		}
		files = append(files, picture{name, n})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: no file in %s fits the pattern %q; check the directory and the number of digits", ErrNoFrames, dir, pattern)
	}
	slices.SortFunc(files, func(a, b picture) int { return cmp.Compare(a.number, b.number) })
	return files, nil
}

func fileNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// compareNatural orders names as people do: digits as the number they write.
func compareNatural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		nx, ny := digitsAt(x), digitsAt(y)
		if nx == 0 || ny == 0 {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		dx, dy := strings.TrimLeft(x[:nx], "0"), strings.TrimLeft(y[:ny], "0")
		if c := cmp.Or(cmp.Compare(len(dx), len(dy)), cmp.Compare(dx, dy)); c != 0 {
			return c
		}
		x, y = x[nx:], y[ny:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func digitsAt(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// read decodes the next file: grey pictures to one channel, others to BGR, 16 bits to 8, transparency dropped.
func (p *pictures) read(m *gocv.Mat) (rawStamp, error) {
	if p.at == len(p.files) {
		return rawStamp{}, io.EOF
	}
	file := p.files[p.at]
	p.at++
	path := filepath.Join(p.dir, file.name)
	// Decoding into m itself would leave the last picture there when this one is broken, and not say so.
	img := gocv.IMRead(path, gocv.IMReadAnyColor)
	defer img.Close()
	if img.Empty() {
		if _, err := os.Stat(path); err != nil {
			return rawStamp{}, fmt.Errorf("%w: %w", errDecode, err)
		}
		return rawStamp{}, fmt.Errorf("%w: %s is damaged or no picture", errDecode, path)
	}
	if err := img.CopyTo(m); err != nil {
		return rawStamp{}, fmt.Errorf("picture %s: %w", path, err)
	}
	p.width, p.height = img.Cols(), img.Rows()
	if p.fps == 0 {
		return rawStamp{kind: frame.Nominal}, nil // the sidecar has the time
	}
	return rawStamp{ns: nominal(file.number-p.files[0].number, p.fps), kind: frame.Nominal}, nil
}

func (p *pictures) describe(i *Info) {
	i.Backend = "pictures"
	i.Codec = strings.TrimPrefix(strings.ToLower(filepath.Ext(p.files[0].name)), ".")
	i.Width, i.Height = p.width, p.height
	i.FPS, i.Frames = p.fps, int64(len(p.files))
	i.Stamps = frame.Nominal
}

func (p *pictures) Close() error { return nil }

var errNoFPS = errors.New("pictures carry no times; set FPS (frames a second), or give a stamps file")

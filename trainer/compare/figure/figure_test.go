package figure

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tandem/trainer/compare"
	"tandem/trainer/method"
)

// table is one as a comparison of all methods makes it.
func table(methods []string, jitters, shares []float64) compare.Table {
	rng := rand.New(rand.NewPCG(1, 1))
	t := compare.Table{Data: "cell", Folds: []string{"1", "2"}, Seeds: 3, FirstSeed: 1}
	spread := func(mean float64) compare.Spread {
		sd := 0.5 + 2*rng.Float64()
		return compare.Spread{Mean: mean, SD: &sd}
	}
	for i, m := range methods {
		row := func(jitter, pairs float64) {
			base := 42 + 3*float64(i) - jitter*(0.2+rng.Float64()) - 12*(1-pairs)
			r := compare.Row{Method: m, Jitter: jitter, Pairs: pairs}
			r.MoF, r.Edit, r.F1At10, r.F1At25, r.F1At50 = spread(base+20), spread(base+8), spread(base+13), spread(base+9), spread(base)
			t.Rows = append(t.Rows, r)
		}
		if m == compare.Teacher || m == "exo-only" || m == "ego-oracle" {
			row(0, 1)
			continue
		}
		for _, j := range jitters {
			row(j, 1)
		}
		for _, s := range shares {
			if s != 1 {
				row(0, s)
			}
		}
	}
	return t
}

func everything() compare.Table {
	methods := append([]string{compare.Teacher}, method.Names()...)
	return table(methods, []float64{0, 3, 6, 12}, []float64{1, 0.5, 0.25, 0.1})
}

func written(t *testing.T, table compare.Table, name string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := Write(table, path); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("beside the figure lies %v, %v", left, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// pixels counts those of each colour.
func pixels(t *testing.T, img image.Image) map[color.RGBA]int {
	t.Helper()
	var list []uint8
	switch m := img.(type) {
	case *image.RGBA:
		list = m.Pix
	case *image.NRGBA:
		list = m.Pix
	default:
		t.Fatalf("the picture is a %T", img)
	}
	count := map[color.RGBA]int{}
	for p := range slices.Chunk(list, 4) {
		if p[0] != 0xff || p[1] != 0xff || p[2] != 0xff { // the ground would only take time
			count[color.RGBA{p[0], p[1], p[2], p[3]}]++
		}
	}
	return count
}

func TestEachMethodIsThereInItsColour(t *testing.T) {
	var content bytes.Buffer
	if err := render(everything(), false, 60, &content); err != nil { // coarse, since drawing takes long with the race detector
		t.Fatal(err)
	}
	img, err := png.Decode(&content)
	if err != nil {
		t.Fatal(err)
	}
	count := pixels(t, img)
	for _, m := range append([]string{compare.Teacher}, method.Names()...) {
		if _, ok := looks[m]; !ok {
			t.Errorf("%s has no look of its own", m)
		}
		if n := count[looks[m].color]; n < 100 {
			t.Errorf("%s: %d pixels", m, n)
		}
	}
	var used []color.RGBA
	for m, l := range looks {
		if slices.Contains(used, l.color) {
			t.Errorf("%s has another one's colour", m)
		}
		used = append(used, l.color)
	}
}

func TestPanelsFollowTheTable(t *testing.T) {
	long, some := []float64{0, 3, 12}, []float64{1, 0.5}
	for _, c := range []struct {
		name            string
		jitters, shares []float64
		want, not       []string
	}{
		{"one condition", []float64{0}, nil, nil, []string{"against"}},
		{"clocks", long, nil, []string{"F1@50 against clock error", "±12"}, []string{"against share"}},
		{"pairs", []float64{0}, some, []string{"F1@50 against share of the pairs", "50 %"}, []string{"against clock"}},
		{"both", long, some, []string{"against clock error", "against share"}, []string{"clocks within"}},
		{"never right", []float64{6}, nil, []string{"clocks within ±6 frames, 100 % of the pairs"}, []string{"against"}},
	} {
		svg := string(written(t, table([]string{"exo-only", "ego-oracle", "tas", "tandem"}, c.jitters, c.shares), "figure.svg"))
		for _, w := range append(c.want, "tas", "tandem", "exo-only", "MoF", "F1@25") {
			if !strings.Contains(svg, w) {
				t.Errorf("%s: no %q", c.name, w)
			}
		}
		for _, w := range c.not {
			if strings.Contains(svg, w) {
				t.Errorf("%s: there is %q", c.name, w)
			}
		}
	}
}

func TestNoSpreadAndNothingToApply(t *testing.T) {
	if img, err := png.Decode(bytes.NewReader(written(t, table([]string{"tas"}, []float64{0}, nil), "figure.png"))); err != nil || img.Bounds().Dx() < 1500 {
		t.Errorf("a figure of one method: %v", err)
	}
	small := table([]string{"tas", "feature"}, []float64{0}, nil)
	small.Seeds = 1
	r := &small.Rows[0]
	for _, s := range []*compare.Spread{&r.MoF, &r.Edit, &r.F1At10, &r.F1At25, &r.F1At50} {
		*s = compare.Spread{}
	}
	small.Rows = append(small.Rows, compare.Row{Method: "coral", Pairs: 1, NotApplicable: "other widths"})
	if svg := string(written(t, small, "figure.SVG")); !strings.Contains(svg, "not applicable") || !strings.Contains(svg, "1 seed,") {
		t.Error("one seed, a method that scores nothing and one that is not applicable are not shown")
	}
}

func TestWhatCannotBeDrawn(t *testing.T) {
	if err := Write(everything(), "figure.pdf"); err == nil || !strings.Contains(err.Error(), ".png or .svg") {
		t.Errorf("a PDF gives %v", err)
	}
	path := filepath.Join(t.TempDir(), "figure.png")
	if err := Write(compare.Table{}, path); err == nil || !strings.Contains(err.Error(), "no rows") {
		t.Errorf("an empty table gives %v", err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
}

package compare_test

import (
	"bytes"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"tandem/trainer/method"
)

// A causal student of a teacher that is not, with hold, on streams of one width: all columns are there.
func TestGapKeptAndRetained(t *testing.T) {
	set := open(t, write(t, 0))
	path := filepath.Join(t.TempDir(), "results.jsonl")
	p := plan()
	p.Methods, p.Seeds, p.FirstSeed, p.Folds = []string{"exo-only", "ego-oracle", "tas", "feature"}, 1, 5, []string{"1"}
	p.Options.Network.Kind, p.Options.Network.Lags = "causal", []int{0, 2}
	p.TeacherNetwork = method.Network{Kind: "tcn", Channels: 8, Layers: 3, Dropout: -1}
	p.Hold = 3
	table, _ := measure(t, set, p, path)
	if len(table.Rows) != 6 || table.FirstSeed != 5 {
		t.Fatalf("%d rows from seed %d", len(table.Rows), table.FirstSeed)
	}
	lo, hi := table.Rows[0], table.Rows[1]
	for _, r := range table.Rows {
		if r.NotApplicable != "" || r.Hold != 3 || r.Exo == nil || r.Gap == nil || r.Kept == nil || r.Closed == nil {
			t.Fatalf("%s, jitter %g: %+v", r.Method, r.Jitter, r)
		}
		want := 100 * (r.MoF.Mean - lo.MoF.Mean) / (hi.MoF.Mean - lo.MoF.Mean)
		if math.Abs(*r.Gap.MoF-want) > 1e-9 || *r.Closed != *r.Gap.F1At50 {
			t.Errorf("%s: gap closed %g and %g on F1@50, want %g on MoF", r.Method, *r.Gap.MoF, *r.Closed, want)
		}
	}
	if exo := lo.Exo.MoF.Mean; exo < 60 || exo < lo.MoF.Mean+20 {
		t.Errorf("exo-only has %.1f on the exo side and %.1f on the ego side", exo, lo.MoF.Mean)
	}
	clear, wrong := table.Rows[2], table.Rows[3] // tas
	if *clear.Kept.F1At50 != 100 || math.Abs(*wrong.Kept.MoF-100*wrong.MoF.Mean/clear.MoF.Mean) > 1e-9 {
		t.Errorf("kept %g without clock error and %g of MoF with", *clear.Kept.F1At50, *wrong.Kept.MoF)
	}
	var b bytes.Buffer
	if err := table.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"gap closed", "kept", "exo F1@50", "1 folds, seed 5, per cent", "after a label hold of 3 frames"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}

	// The row without clock error is known from before, so what is kept is too.
	p.Methods, p.Jitter = []string{"tas"}, []float64{5}
	again, notes := measure(t, set, p, path)
	if len(notes) != 0 || len(again.Rows) != 1 || again.Rows[0].Kept == nil || *again.Rows[0].Kept.MoF != *wrong.Kept.MoF || *again.Rows[0].Closed != *wrong.Closed {
		t.Errorf("from the file: %+v", again.Rows)
	}
	// Without a hold all is to be measured again.
	p.Hold = 0
	if again, _ = measure(t, set, p, path); again.Rows[0].Kept != nil || again.Rows[0].Hold != 0 {
		t.Errorf("without a hold: %+v", again.Rows)
	}
}

package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocv.io/x/gocv"

	"tandem/learn/net"
	"tandem/learn/nn"
	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/model/modeltest"
	"tandem/runtime/ort"
	"tandem/runtime/segment"
)

// newBundle writes a bundle of random weights. change may spoil the manifest.
func newBundle(t testing.TB, minFrames int, change func(*bundle.Manifest)) (*modeltest.Built, error) {
	t.Helper()
	return modeltest.Write(filepath.Join(t.TempDir(), "bundle"), modeltest.Options{MinFrames: minFrames, Change: change})
}

func openNew(t *testing.T, minFrames int) (*model.Model, net.TCN, *nn.Params) {
	t.Helper()
	b, err := newBundle(t, minFrames, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.OpenProbed(b.Dir, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, b.TCN, b.Params
}

// walk returns features that wander, so that labels change.
func walk(n, dim int) []float32 {
	rng := rand.New(rand.NewPCG(3, 4))
	rows := make([]float32, n*dim)
	state := make([]float64, dim)
	for t := range n {
		for i := range state {
			state[i] = 0.9*state[i] + rng.NormFloat64()
			rows[t*dim+i] = float32(state[i])
		}
	}
	return rows
}

func TestStreamingEqualsOffline(t *testing.T) {
	m, tcn, params := openNew(t, 1)
	infer, err := tcn.Infer(params)
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.NewPredictor(infer, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const n = 300
	rows := walk(n, tcn.In)
	want, err := p.Run(rows)
	if err != nil {
		t.Fatal(err)
	}
	for f := range n {
		if _, err := m.Segmenter.Push(int64(f), int64(f+1)*1e8, rows[f*tcn.In:(f+1)*tcn.In]); err != nil {
			t.Fatal(err)
		}
		for h := range want {
			logits := want[h][f*tcn.Classes : (f+1)*tcn.Classes]
			got := m.Segmenter.Scores(h)
			var sum float64
			for _, v := range logits {
				sum += math.Exp(float64(v))
			}
			for k, v := range logits {
				if d := math.Abs(math.Exp(float64(v))/sum - float64(got[k])); d > 1e-4 {
					t.Fatalf("frame %d, head %d, class %d: streaming %g, offline differs by %g", f, h, k, got[k], d)
				}
			}
		}
	}
}

// TestCommittedStream checks what the committed stream promises: it covers the take without gap or overlap, its segments
// last at least the hold, and they are the held labels of the committed head.
func TestCommittedStream(t *testing.T) {
	const n, hold, lag, period = 400, 4, 5, int64(1e8)
	m, tcn, params := openNew(t, hold)
	rows := walk(n, tcn.In)
	infer, err := tcn.Infer(params)
	if err != nil {
		t.Fatal(err)
	}
	p, err := net.NewPredictor(infer, ort.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	heads, err := p.Run(rows)
	if err != nil {
		t.Fatal(err)
	}
	best := func(h, f int) int {
		row := heads[h][f*tcn.Classes : (f+1)*tcn.Classes]
		k := 0
		for i, v := range row {
			if v > row[k] {
				k = i
			}
		}
		return k
	}
	raw := make([]int, n)
	for f := range raw {
		if f+lag < n {
			raw[f] = best(1, f+lag)
		} else {
			raw[f] = best(0, f)
		}
	}
	want := segment.Hold(raw, hold)

	got := make([]int, 0, n)
	provisional := 0
	var confirmed *segment.Event // the segment whose start is final and whose end isn't known
	take := func(list []segment.Event) {
		for _, e := range list {
			if e.Kind == segment.Provisional {
				provisional++
				continue
			}
			if e.Kind == segment.Confirmed {
				if confirmed != nil {
					t.Fatalf("%+v is confirmed before %+v has ended", e, *confirmed)
				}
				confirmed = &e
				continue
			}
			if c := confirmed; c == nil || c.Label != e.Label || c.Start != e.Start || c.FirstSeq != e.FirstSeq {
				t.Fatalf("%+v was confirmed as %+v", e, c)
			}
			confirmed = nil
			if e.Start != int64(len(got))*period+1 || e.End <= e.Start || e.FirstSeq != int64(len(got)) {
				t.Fatalf("%+v does not follow frame %d", e, len(got))
			}
			for int64(len(got))*period+1 < e.End {
				got = append(got, e.Label)
			}
			if e.LastSeq != int64(len(got))-1 {
				t.Fatalf("%+v says its last sample is %d, its end says %d", e, e.LastSeq, len(got)-1)
			}
		}
	}
	for f := range n {
		list, err := m.Segmenter.Push(int64(f), int64(f)*period+1, rows[f*tcn.In:(f+1)*tcn.In])
		if err != nil {
			t.Fatal(err)
		}
		take(list)
	}
	take(m.Segmenter.Finish(segment.EndOfTake))
	if len(got) != n {
		t.Fatalf("committed segments cover %d of %d frames", len(got), n)
	}
	changes := 0
	for f := range got {
		if got[f] != want[f] {
			t.Fatalf("frame %d is %d, the held labels say %d", f, got[f], want[f])
		}
		if f > 0 && got[f] != got[f-1] {
			changes++
		}
	}
	if changes < 5 || provisional < changes {
		t.Fatalf("%d changes and %d provisional events: the input is too dull to test with", changes, provisional)
	}
}

func TestGaps(t *testing.T) {
	const period = int64(1e8) // the bundle has 10 Hz, so half a second bridges 5 samples
	run := func(gap int64) (events []segment.Event) {
		m, tcn, _ := openNew(t, 1)
		rows := walk(60, tcn.In)
		row := func(i int) []float32 { return rows[i*tcn.In : (i+1)*tcn.In] }
		for i := range int64(60) {
			seq := i
			if i >= 30 {
				seq += gap
			}
			list, err := m.Segmenter.Push(seq, seq*period+1, row(int(i)))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, list...)
		}
		return append(events, m.Segmenter.Finish(segment.EndOfTake)...)
	}
	ends := func(events []segment.Event, why segment.Reason) (n int) {
		for _, e := range events {
			if e.Kind == segment.Committed && e.Reason == why {
				n++
			}
		}
		return n
	}
	bridged := run(5)
	if n := ends(bridged, segment.Gap); n != 0 {
		t.Errorf("a gap of 5 samples ended %d segments, want it bridged", n)
	}
	covered := int64(0)
	for _, e := range bridged {
		if e.Kind == segment.Committed {
			covered += e.LastSeq - e.FirstSeq + 1
		}
	}
	if covered != 65 {
		t.Errorf("committed segments cover %d samples, want 65 with the bridged ones", covered)
	}
	broken := run(6)
	if n := ends(broken, segment.Gap); n != 1 {
		t.Errorf("a gap of 6 samples ended %d segments, want 1", n)
	}
	for _, e := range broken {
		if e.Kind == segment.Committed && e.Reason == segment.Gap && e.End != 30*period+1 {
			t.Errorf("the segment before the gap ends at %d, want one period after the last sample", e.End)
		}
	}
}

func TestPushRefuses(t *testing.T) {
	m, tcn, _ := openNew(t, 1)
	row := make([]float32, tcn.In)
	push := func(seq, at int64, f []float32, want string) {
		t.Helper()
		_, err := m.Segmenter.Push(seq, at, f)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Fatalf("Push(%d, %d) = %v, want %q", seq, at, err, want)
		}
	}
	push(0, 10, row[:3], "3 features, expected")
	push(0, 10, row, "")
	push(0, 20, row, "does not come after")
	push(1, 10, row, "does not come after")
	bad := append([]float32(nil), row...)
	bad[4] = float32(math.NaN())
	push(1, 20, bad, "feature 4 is NaN")
	bad[4] = float32(math.Inf(1))
	push(1, 20, bad, "feature 4 is +Inf")
	push(2, 30, row, "") // goes on as if sample 1 had been lost
}

// TestWarm: a segmenter that takes over in mid-stream and was warmed with the features before gives the same labels as
// one that has run from the start.
func TestWarm(t *testing.T) {
	first, tcn, _ := openNew(t, 1)
	second, _, _ := openNew(t, 1)
	rows := walk(200, tcn.In)
	if got := first.Segmenter.Memory(); got < tcn.Reach()-1 {
		t.Fatalf("memory is %d, the network sees %d frames back", got, tcn.Reach()-1)
	}
	if err := second.Segmenter.Warm(rows[:60*tcn.In]); err != nil {
		t.Fatal(err)
	}
	if err := second.Segmenter.Warm(rows[60*tcn.In : 100*tcn.In]); err != nil {
		t.Fatal(err)
	}
	for f := range int64(200) {
		row := rows[f*int64(tcn.In) : (f+1)*int64(tcn.In)]
		if _, err := first.Segmenter.Push(f, f+1, row); err != nil {
			t.Fatal(err)
		}
		if f < 100 {
			continue
		}
		if _, err := second.Segmenter.Push(f, f+1, row); err != nil {
			t.Fatal(err)
		}
		for k, v := range first.Segmenter.Scores(1) {
			if math.Abs(float64(v-second.Segmenter.Scores(1)[k])) > 1e-5 {
				t.Fatalf("frame %d: the warmed segmenter says %v, the other %v", f, second.Segmenter.Scores(1), first.Segmenter.Scores(1))
			}
		}
	}
	if err := second.Segmenter.Warm(rows); err == nil {
		t.Error("Warm in the middle of a take was accepted")
	}
}

func TestWriteRefusesAManifestThatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*bundle.Manifest)
		want   string
	}{
		"label count":   {func(m *bundle.Manifest) { m.Labels = m.Labels[:3] }, `"logits_lag0" scores 4 classes, the manifest has 3 labels`},
		"dim":           {func(m *bundle.Manifest) { m.Extractor.Dim = 3 }, `"features"`},
		"input name":    {func(m *bundle.Manifest) { m.Extractor.Input.Name = "x" }, `extractor.input.name is "x", which is no input of the model; it has image float32[`},
		"output name":   {func(m *bundle.Manifest) { m.Segmenter.Heads[0].Output = "y" }, `segmenter.heads[0].output is "y", which is no output of the model; it has logits_lag0`},
		"state missing": {func(m *bundle.Manifest) { m.Segmenter.States = m.Segmenter.States[1:] }, "does not name"},
		"state size":    {func(m *bundle.Manifest) { m.Segmenter.States[0].Channels++ }, "shape"},
		"image size":    {func(m *bundle.Manifest) { m.Extractor.Input.Width = 31 }, "shape"},
		"background":    {func(m *bundle.Manifest) { m.Background = []string{"nothing"} }, "background[0]"},
		"rate":          {func(m *bundle.Manifest) { m.RateHz = 0 }, "rate_hz"},
		"release":       {func(m *bundle.Manifest) { m.Release = "../up" }, "release"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newBundle(t, 1, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestProbeCatchesOtherOutputs(t *testing.T) {
	m, _, _ := openNew(t, 1)
	path := filepath.Join(m.Bundle.Path, bundle.GoldenFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g model.Golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	spoil := func(change func(*model.Golden)) {
		t.Helper()
		var other model.Golden
		if err := json.Unmarshal(data, &other); err != nil {
			t.Fatal(err)
		}
		change(&other)
		out, err := json.Marshal(other)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := m.Probe(); !errors.Is(err, model.ErrProbe) {
			t.Errorf("got %v, want %v", err, model.ErrProbe)
		}
	}
	spoil(func(g *model.Golden) {
		for i := range g.Features {
			g.Features[i] *= 1.1
		}
	})
	spoil(func(g *model.Golden) { g.Probs[1][0], g.Probs[1][1] = 1-g.Probs[1][0], 0 })
	spoil(func(g *model.Golden) { g.Probs = g.Probs[:1] })
}

func TestBundleRoundTripAndDigest(t *testing.T) {
	b := modeltest.New(t, modeltest.Options{})
	var packed, again bytes.Buffer
	if err := b.Pack(&packed); err != nil {
		t.Fatal(err)
	}
	if err := b.Pack(&again); err != nil || !bytes.Equal(packed.Bytes(), again.Bytes()) {
		t.Fatalf("packing twice gives other bytes (%v)", err)
	}
	parent := t.TempDir()
	d, err := bundle.Unpack(bytes.NewReader(packed.Bytes()), filepath.Join(parent, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Read(d.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path, bundle.SegmenterFile), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.Read(d.Path); !errors.Is(err, bundle.ErrInvalid) || !strings.Contains(err.Error(), bundle.SegmenterFile) {
		t.Errorf("a changed file gives %v, want an error that names it", err)
	}
	// Cut or damaged archives leave nothing behind.
	for _, cut := range []int{0, 10, packed.Len() / 2, packed.Len() - 1} {
		dir := filepath.Join(parent, "cut")
		if _, err := bundle.Unpack(bytes.NewReader(packed.Bytes()[:cut]), dir); err == nil {
			t.Errorf("an archive cut at %d bytes was accepted", cut)
		}
	}
	left, err := os.ReadDir(parent)
	if err != nil || len(left) != 1 {
		t.Errorf("after failures %d entries are left (%v), want the one good bundle", len(left), err)
	}
}

func TestExtractorTakesAnyPicture(t *testing.T) {
	m, _, _ := openNew(t, 1)
	dst := make([]float32, m.Extractor.Dim())
	for _, p := range []struct {
		w, h int
		kind gocv.MatType
		ok   bool
	}{
		{320, 180, gocv.MatTypeCV8UC3, true}, {321, 179, gocv.MatTypeCV8UC3, true}, {17, 400, gocv.MatTypeCV8UC1, true},
		{32, 32, gocv.MatTypeCV8UC3, true}, {1, 1, gocv.MatTypeCV8UC1, true}, {64, 64, gocv.MatTypeCV32FC3, false},
	} {
		pic := gocv.NewMatWithSize(p.h, p.w, p.kind)
		err := m.Extractor.Extract(pic, dst)
		if (err == nil) != p.ok {
			t.Errorf("picture %+v: %v", p, err)
		}
		if err := pic.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Extractor.Extract(gocv.NewMat(), dst); err == nil {
		t.Error("an empty picture was accepted")
	}
}

func TestNothingIsAllocatedAFrame(t *testing.T) {
	m, tcn, _ := openNew(t, 3)
	pic := gocv.NewMatWithSize(90, 160, gocv.MatTypeCV8UC3)
	defer pic.Close()
	row := make([]float32, tcn.In)
	seq := int64(0)
	step := func() {
		if err := m.Extractor.Extract(pic, row); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Segmenter.Push(seq, seq+1, row); err != nil {
			t.Fatal(err)
		}
		seq++
	}
	for range 50 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n > 0 {
		t.Errorf("%g allocations a frame", n)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	b := modeltest.New(f, modeltest.Options{})
	data, err := os.ReadFile(filepath.Join(b.Path, bundle.ManifestFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"schema":1,"labels":["a"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := bundle.Decode(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, bundle.ErrInvalid) {
				t.Fatalf("%v does not wrap ErrInvalid", err)
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("decoded, yet %v", err)
		}
	})
}

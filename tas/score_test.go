package tas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// seq spells frames: "A3 -2 B1" is A A A - - B.
func seq(spec string) []string {
	var frames []string
	for _, part := range strings.Fields(spec) {
		var n int
		if _, err := fmt.Sscanf(part[1:], "%d", &n); err != nil {
			panic("bad spec " + spec) //nolint:forbidigo // a mistake in the table below
		}
		for range n {
			frames = append(frames, part[:1])
		}
	}
	return frames
}

func TestScoreByHand(t *testing.T) {
	type pair struct{ gt, pred string }
	tests := []struct {
		name       string
		videos     []pair
		background []string
		want       Scores
	}{
		{
			name:       "only background on both sides: nothing to find, nothing claimed",
			videos:     []pair{{"-5", "-5"}},
			background: []string{"-"},
			want:       Scores{100, 100, 100, 100, 100},
		},
		{
			name:   "the same without a background class is one run that hits",
			videos: []pair{{"-5", "-5"}},
			want:   Scores{100, 100, 100, 100, 100},
		},
		{
			name:       "the prediction claims an action where there is none",
			videos:     []pair{{"-4", "-2 A2"}},
			background: []string{"-"},
			want:       Scores{MoF: 50},
		},
		{
			name:       "the prediction finds nothing",
			videos:     []pair{{"-2 A2", "-4"}},
			background: []string{"-"},
			want:       Scores{MoF: 50},
		},
		{
			// Truth A A, claim A: lev 1 of 2. The claim [0,10) meets A [0,4) with 4/10 and A [6,10) with 4/10; the tie goes
			// to the first: one hit and one miss at 10 and 25, a false alarm and two misses at 50.
			name:       "A, background, A is two runs, and a tie goes to the earlier",
			videos:     []pair{{"A4 -2 A4", "A10"}},
			background: []string{"-"},
			want:       Scores{MoF: 80, Edit: 50, F1At10: 200.0 / 3, F1At25: 200.0 / 3, F1At50: 0},
		},
		{
			// Claims A [0,4) and A [6,10) both look up A [0,10) with 4/10: the second is a false alarm.
			name:       "a true run is hit once",
			videos:     []pair{{"A10", "A4 -2 A4"}},
			background: []string{"-"},
			want:       Scores{MoF: 80, Edit: 50, F1At10: 200.0 / 3, F1At25: 200.0 / 3, F1At50: 0},
		},
		{
			// The true A [0,5) and A [6,8); the claims A [0,3) (IoU 3/5 with the first) and A [4,6), which meets only the
			// first, with 1/6, and finds it taken at 10. At 50 the first claim hits, the second is below.
			name:       "a taken run is not replaced by another",
			videos:     []pair{{"A5 -1 A2", "A3 -1 A2 -2"}},
			background: []string{"-"},
			want:       Scores{MoF: 50, Edit: 100, F1At10: 50, F1At25: 50, F1At50: 50},
		},
		{
			// Claim B [0,1) against the true B [0,10): 1/10, exactly the least overlap for a hit at 10.
			name:   "an overlap equal to the threshold hits",
			videos: []pair{{"B10", "B1 C9"}},
			want:   Scores{MoF: 10, Edit: 50, F1At10: 200.0 / 3},
		},
		{
			name:   "an overlap equal to one half hits at 50",
			videos: []pair{{"B4", "B2 C2"}},
			want:   Scores{MoF: 50, Edit: 50, F1At10: 200.0 / 3, F1At25: 200.0 / 3, F1At50: 200.0 / 3},
		},
		{
			name:   "right labels at the wrong place: Edit is blind to it",
			videos: []pair{{"A1 B9", "A9 B1"}},
			want:   Scores{MoF: 20, Edit: 100, F1At10: 100},
		},
		{
			name:       "several background classes, and background between equal labels",
			videos:     []pair{{"-2 A3 _2 A3", "_2 A3 -2 A3"}},
			background: []string{"-", "_"},
			want:       Scores{MoF: 60, Edit: 100, F1At10: 100, F1At25: 100, F1At50: 100},
		},
		{
			// MoF and F1 are pooled: 11 of 12 frames; 1 hit, 1 false alarm, 1 miss. Edit is the mean of 0 and 100.
			name:   "pooled and averaged over videos of unequal length",
			videos: []pair{{"A1", "B1"}, {"A11", "A11"}},
			want:   Scores{MoF: 100 * 11.0 / 12, Edit: 50, F1At10: 50, F1At25: 50, F1At50: 50},
		},
		{
			// Runs of the truth A B C, of the claim A C B A: C goes, and the last A becomes C: 1 - 2/4.
			name:   "edit distance of unlike orders",
			videos: []pair{{"A4 B4 C4", "A3 C3 B3 A3"}},
			// A [0,3) hits A [0,4) with 3/4; C [3,6) misses; B [6,9) meets B [4,8) with 2/5; A [9,12) finds nothing.
			want: Scores{MoF: 100 * 5.0 / 12, Edit: 50, F1At10: 400.0 / 7, F1At25: 400.0 / 7, F1At50: 200.0 / 7},
		},
		{
			name:       "the example of docs/metrics.md",
			videos:     []pair{{"-2 A6 B6 -2 A4", "-2 A5 B3 A1 B3 -2 A1 C3"}},
			background: []string{"-"},
			want:       Scores{MoF: 75, Edit: 50, F1At10: 200.0 / 3, F1At25: 200.0 / 3, F1At50: 400.0 / 9},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var videos []Video
			for i, p := range test.videos {
				videos = append(videos, Video{Name: fmt.Sprint(i), GT: seq(p.gt), Pred: seq(p.pred)})
			}
			got, err := Score(videos, test.background...)
			if err != nil {
				t.Fatal(err)
			}
			if !near(got, test.want) {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func near(a, b Scores) bool {
	const eps = 1e-9
	return math.Abs(a.MoF-b.MoF) < eps && math.Abs(a.Edit-b.Edit) < eps && math.Abs(a.F1At10-b.F1At10) < eps &&
		math.Abs(a.F1At25-b.F1At25) < eps && math.Abs(a.F1At50-b.F1At50) < eps
}

func TestScoreRefusesWhatCannotBeCompared(t *testing.T) {
	tests := []struct {
		name   string
		videos []Video
		want   string
	}{
		{"no videos", nil, "there are no videos to score"},
		{"different lengths", []Video{{"take1", seq("A2"), seq("A2")}, {"take2", seq("A3"), seq("A2")}},
			"take2: the prediction has 2 frames, the ground truth 3; they must be as many"},
		{"no frames", []Video{{"take3", nil, nil}}, "take3: the video has no frames"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Score(test.videos); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// randomVideos makes videos of runs of random length over a few classes and the background "-". The prediction is the
// truth with shifted borders and some runs relabelled.
func randomVideos(rng *rand.Rand) []Video {
	names := []string{"-", "A", "B", "C", "D"}
	videos := make([]Video, 1+rng.IntN(4))
	for i := range videos {
		var gt []string
		for range 1 + rng.IntN(20) {
			name := names[rng.IntN(len(names))]
			for range 1 + rng.IntN(15) {
				gt = append(gt, name)
			}
		}
		pred := make([]string, len(gt))
		for t := range pred {
			pred[t] = gt[min(len(gt)-1, max(0, t+rng.IntN(5)-2))]
			if t > 0 && rng.IntN(3) > 0 {
				pred[t] = pred[t-1]
			}
		}
		videos[i] = Video{Name: fmt.Sprint(i), GT: gt, Pred: pred}
	}
	return videos
}

func TestScoreProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	relabel := strings.NewReplacer("A", "gr ab", "B", "A", "C", "x", "D", "B", "-", "back ground")
	for round := range 300 {
		videos := randomVideos(rng)
		got, err := Score(videos, "-")
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range asMap(t, got) {
			if !(value >= 0 && value <= 100) {
				t.Fatalf("round %d: %s = %v is not in [0, 100]", round, key, value)
			}
		}
		if got.F1At10 < got.F1At25 || got.F1At25 < got.F1At50 {
			t.Fatalf("round %d: F1 rises with the overlap: %+v", round, got)
		}
		if want := plainScore(videos, "-"); !near(got, want) {
			t.Fatalf("round %d: got %+v, the definition says %+v", round, got, want)
		}

		renamed := make([]Video, len(videos))
		same := make([]Video, len(videos))
		for i, v := range videos {
			renamed[i] = Video{v.Name, replaceAll(relabel, v.GT), replaceAll(relabel, v.Pred)}
			same[i] = Video{v.Name, v.GT, v.GT}
		}
		if other, err := Score(renamed, "back ground"); err != nil || other != got {
			t.Fatalf("round %d: %+v becomes %+v under other names (%v)", round, got, other, err)
		}
		perfect := Scores{100, 100, 100, 100, 100}
		if s, err := Score(same, "-"); err != nil || s != perfect {
			t.Fatalf("round %d: the truth scores %+v against itself (%v)", round, s, err)
		}
	}
}

func replaceAll(r *strings.Replacer, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = r.Replace(name)
	}
	return out
}

// plainScore is the definition written down as slowly and plainly as it reads: full distance matrix, every pair of runs.
func plainScore(videos []Video, background string) Scores {
	type run struct {
		label      string
		start, end int
	}
	runs := func(frames []string) (list []run) {
		for t, name := range frames {
			if t == 0 || name != frames[t-1] {
				list = append(list, run{name, t, t})
			}
			list[len(list)-1].end = t + 1
		}
		var kept []run
		for _, r := range list {
			if r.label != background {
				kept = append(kept, r)
			}
		}
		return kept
	}
	iou := func(a, b run) float64 {
		in := min(a.end, b.end) - max(a.start, b.start)
		if in <= 0 || a.label != b.label {
			return 0
		}
		return float64(in) / float64(a.end-a.start+b.end-b.start-in)
	}
	var frames, right, edit float64
	var f1 [3]float64
	for _, v := range videos {
		for t := range v.GT {
			frames++
			if v.GT[t] == v.Pred[t] {
				right++
			}
		}
		p, g := runs(v.Pred), runs(v.GT)
		d := make([][]int, len(p)+1)
		for i := range d {
			d[i] = make([]int, len(g)+1)
			for j := range d[i] {
				switch {
				case i == 0 || j == 0:
					d[i][j] = i + j
				case p[i-1].label == g[j-1].label:
					d[i][j] = d[i-1][j-1]
				default:
					d[i][j] = 1 + min(d[i-1][j-1], d[i-1][j], d[i][j-1])
				}
			}
		}
		if n := max(len(p), len(g)); n > 0 {
			edit += 1 - float64(d[len(p)][len(g)])/float64(n)
		} else {
			edit++
		}
	}
	for k, least := range []float64{0.10, 0.25, 0.50} {
		var hits, claimed, all float64
		for _, v := range videos {
			p, g := runs(v.Pred), runs(v.GT)
			claimed, all = claimed+float64(len(p)), all+float64(len(g))
			taken := make(map[int]bool)
			for _, a := range p {
				best := -1
				for i, b := range g {
					if iou(a, b) > 0 && (best < 0 || iou(a, b) > iou(a, g[best])) {
						best = i
					}
				}
				if best >= 0 && iou(a, g[best]) >= least && !taken[best] {
					taken[best] = true
					hits++
				}
			}
		}
		f1[k] = 100
		if claimed+all > 0 {
			f1[k] = 200 * hits / (claimed + all)
		}
	}
	return Scores{100 * right / frames, 100 * edit / float64(len(videos)), f1[0], f1[1], f1[2]}
}

func TestScoreKeepsUpWithAnHourOfFlicker(t *testing.T) {
	const frames = 30 * 3600
	gt, pred := make([]string, frames), make([]string, frames)
	for i := range gt {
		gt[i] = string(rune('A' + i/900%10))
		pred[i] = string(rune('A' + i%2))
	}
	got, err := Score([]Video{{Name: "flicker", GT: gt, Pred: pred}})
	if err != nil {
		t.Fatal(err)
	}
	if got.F1At10 != 0 || math.Abs(got.MoF-10) > 1e-9 {
		t.Errorf("got %+v, want F1@10 0 and MoF 10", got)
	}
}

func BenchmarkScore(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 4))
	var videos []Video
	frames := 0
	for range 20 {
		for _, v := range randomVideos(rng) {
			videos = append(videos, v)
			frames += len(v.GT)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Score(videos, "-"); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(frames)*float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}

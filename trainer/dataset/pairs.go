package dataset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"tandem/stream/wire"
	"tandem/trainer/pairfile"
)

// The pair archive of a trainer: DEVICE/TAKE.pairs, see package pairfile. A take is DEVICE_TAKE, its timeline is the rig's
// sequence numbers from the first on, its views are "ego" and the exo cameras by their devices' names. A sample that was
// lost, and an exo sample without a partner or with a rejected one, is filled in by its predecessor (the first one by its
// successor) with weight 0. There are no labels. Features of several extractors are not mixed: that is an error.

// PairSource is where pairs come from.
type PairSource interface {
	// Takes lists the takes.
	Takes() ([]pairfile.Take, error)
	// Read calls fn with each batch of a take in the order of sequence numbers.
	Read(take pairfile.Take, fn func(*wire.PairBatch) error) error
}

func isPairs(dir string) bool {
	_, ok := pairsDir(dir)
	return ok
}

// pairsDir finds the archive: dir itself, or pairs/ in it, as in a trainer's store.
func pairsDir(dir string) (string, bool) {
	for _, d := range []string{dir, filepath.Join(dir, "pairs")} {
		devices, err := os.ReadDir(d)
		if err != nil {
			continue
		}
		for _, e := range devices {
			if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			if names, err := filesWith(filepath.Join(d, e.Name()), ".pairs"); err == nil && len(names) > 0 {
				return d, true
			}
		}
	}
	return "", false
}

func openPairs(ctx context.Context, dir string, o Options) (*contents, error) {
	d, ok := pairsDir(dir)
	if !ok {
		return nil, fmt.Errorf("%s holds no DEVICE/TAKE.pairs", dir)
	}
	return pairContents(ctx, pairfile.Dir(d), o)
}

// OpenPairs opens the pairs of a source as a data set. Every take is read once to know its length.
func OpenPairs(ctx context.Context, src PairSource, o Options) (*Dataset, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	c, err := pairContents(ctx, src, o)
	if err != nil {
		return nil, fmt.Errorf("pairs data set: %w", err)
	}
	c.name = "pairs"
	d, err := assemble("pairs", c, o)
	if err != nil {
		return nil, fmt.Errorf("pairs data set: %w", err)
	}
	return d, nil
}

// pairs is an archive while it is open.
type pairs struct {
	src   PairSource
	ids   []pairfile.Take // of the takes
	views []View

	mu   sync.Mutex // guards last: views of a take are read one after the other
	last *pairTake
}

func pairContents(ctx context.Context, src PairSource, o Options) (*contents, error) {
	ids, err := src.Takes()
	if err != nil {
		return nil, err
	}
	p := &pairs{src: src}
	var all []*pairTake // without features
	exo := map[string]View{}
	ego := View{Name: "ego", Role: Ego}
	rate := 0.0
	var extractors [2]string // of ego and exo
	var open, alone []string
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t := &pairTake{id: id}
		if err := src.Read(id, t.measure); err != nil {
			return nil, fmt.Errorf("take %s: %w", id, err)
		}
		switch {
		case t.samples == 0 || len(t.exo) == 0:
			alone = append(alone, id.String())
			continue
		case len(all) == 0:
			rate, extractors = t.rateHz, [2]string{t.extractor, t.exoExtractor}
		case t.rateHz != rate:
			return nil, fmt.Errorf("take %s has %g samples a second, take %s %g", id, t.rateHz, all[0].id, rate)
		case t.extractor != extractors[0] || t.exoExtractor != extractors[1]:
			return nil, fmt.Errorf("take %s has features of other extractors than take %s; put the takes of each release in a directory of their own", id, all[0].id)
		}
		if !t.ended {
			open = append(open, id.String())
		}
		ego.Dim = t.dim
		for name := range t.exo {
			exo[name] = View{Name: name, Role: Exo, Dim: t.exoDim}
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no take with pairs")
	}
	there := append(slices.SortedFunc(maps.Values(exo), func(a, b View) int { return strings.Compare(a.Name, b.Name) }), ego)
	if p.views, err = chooseViews(there, o); err != nil {
		return nil, err
	}
	c := &contents{
		rateHz: rate, views: p.views,
		open: p.open, exoLabels: noLabels, egoLabels: noLabels,
	}
	slices.SortFunc(all, func(a, b *pairTake) int { return strings.Compare(a.name(), b.name()) })
	for _, t := range all {
		info := takeInfo{name: t.name(), samples: t.samples}
		for _, v := range p.views {
			info.views = append(info.views, v.Role == Ego || t.exo[v.Name])
		}
		c.takes = append(c.takes, info)
		p.ids = append(p.ids, t.id)
	}
	if len(open) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s not ended yet and may grow (%s)", areIs(len(open), "take"), few(open)))
	}
	if len(alone) > 0 {
		c.notes = append(c.notes, fmt.Sprintf("%s left out: not one pair (%s)", wasWere(len(alone), "take"), few(alone)))
	}
	return c, nil
}

// areIs spells a number of things that are something.
func areIs(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return fmt.Sprintf("%d %ss are", n, thing)
}

func noLabels(context.Context, int) ([]int, error) { return nil, ErrNoLabels }

// pairTake is a take that is being read.
type pairTake struct {
	id                      pairfile.Take
	samples, dim, exoDim    int
	rateHz                  float64
	extractor, exoExtractor string
	ended                   bool
	exo                     map[string]bool // cameras with at least one partner
	next                    uint64          // sequence number that comes next

	rows map[string]*pairRows // by view; nil while the take is only measured
}

// pairRows are the samples of a view.
type pairRows struct {
	data    []float32
	weights []float32
	times   []int64
}

func (t *pairTake) name() string { return t.id.Device + "_" + t.id.Name }

// maxGap bounds the lost samples that are filled in at one place, in seconds: beyond it a take would be two.
const maxGap = 5.0

// measure reads what is known of a take without its features.
func (t *pairTake) measure(b *wire.PairBatch) error {
	t.ended = t.ended || b.Last
	n := b.Ego.Len()
	if n == 0 {
		return nil
	}
	first := b.Ego.FirstSeq
	if t.samples == 0 {
		t.dim, t.rateHz, t.extractor, t.next, t.exo = int(b.Ego.Dim), b.Ego.RateHz, b.Ego.Extractor, first, map[string]bool{}
	}
	switch {
	case b.Ego.Extractor != t.extractor || int(b.Ego.Dim) != t.dim:
		return fmt.Errorf("the rig's extractor changed at sample %d", first)
	case b.Ego.RateHz != t.rateHz:
		return fmt.Errorf("the rig's rate changed from %g to %g at sample %d", t.rateHz, b.Ego.RateHz, first)
	case first < t.next:
		return fmt.Errorf("sample %d comes twice", first)
	case float64(first-t.next) > maxGap*t.rateHz:
		return fmt.Errorf("%d samples (%.1f s) are lost at once after sample %d, at most %g s can be filled in",
			first-t.next, float64(first-t.next)/t.rateHz, t.next-1, maxGap)
	}
	t.samples += int(first-t.next) + n
	t.next = first + uint64(n)
	for _, x := range b.Exo {
		for i := range n {
			if !partner(x, i) {
				continue
			}
			if t.exoDim == 0 {
				t.exoDim, t.exoExtractor = int(x.Dim), x.Extractor
			}
			if x.Extractor != t.exoExtractor || int(x.Dim) != t.exoDim {
				return fmt.Errorf("the features of camera %s at sample %d are of another extractor than those before", x.Device, first+uint64(i))
			}
			t.exo[x.Device] = true
			break
		}
	}
	return nil
}

// partner tells whether ego sample i has a partner in the track that is good enough.
func partner(x *wire.ExoTrack, i int) bool {
	return x.Index[i] >= 0 && x.Grade[i] != wire.Grade_GRADE_REJECTED
}

// add reads a batch with its features.
func (t *pairTake) add(b *wire.PairBatch) error {
	if err := t.measure(b); err != nil || b.Ego.Len() == 0 {
		return err
	}
	n := b.Ego.Len()
	start := t.samples - n
	ego := t.view("ego")
	rows := vectors(b.Ego.Features, n*t.dim)
	times := wire.AppendValues(nil, b.Ego.SiteNs)
	for i := range n {
		ego.put(start+i, rows[i*t.dim:(i+1)*t.dim])
	}
	for at := len(ego.times); at < start; at++ { // between the samples around the gap
		from, steps := ego.times[at-1], int64(start-at+1)
		ego.times = append(ego.times, from+(times[0]-from)/steps)
	}
	ego.times = append(ego.times, times...)
	// A camera that began another take within the batch has two tracks, each with partners for samples of its own.
	for _, x := range b.Exo {
		var rows []float32
		for i := range n {
			if !partner(x, i) {
				continue
			}
			if rows == nil {
				rows = vectors(x.Features, x.Len()*t.exoDim)
			}
			t.view(x.Device).put(start+i, x.Partner(i, rows))
		}
	}
	return nil
}

func (t *pairTake) view(name string) *pairRows {
	r := t.rows[name]
	if r == nil {
		r = &pairRows{}
		t.rows[name] = r
	}
	return r
}

// put makes row the sample at, after as many repetitions of the last one as are missing. What is there stays.
func (r *pairRows) put(at int, row []float32) {
	r.pad(at, row)
	if len(r.weights) == at {
		r.data = append(r.data, row...)
		r.weights = append(r.weights, 1)
	}
}

// pad brings the view to n samples with its last one, or with first if there is none.
func (r *pairRows) pad(n int, first []float32) {
	for dim := len(first); len(r.weights) < n; {
		fill := first
		if len(r.weights) > 0 {
			fill = r.data[len(r.data)-dim:]
		}
		r.data = append(r.data, fill...)
		r.weights = append(r.weights, 0)
	}
}

func vectors(data []byte, n int) []float32 {
	out := make([]float32, n)
	wire.F16(out, data)
	return out
}

// read reads a take, or returns it if it was read last.
func (p *pairs) read(take int) (*pairTake, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != nil && p.last.id == p.ids[take] {
		return p.last, nil
	}
	t := &pairTake{id: p.ids[take], rows: map[string]*pairRows{}}
	if err := p.src.Read(t.id, t.add); err != nil {
		return nil, err
	}
	for name, r := range t.rows {
		if name != "ego" {
			r.pad(t.samples, r.data[:t.exoDim])
		}
	}
	p.last = t
	return t, nil
}

func (p *pairs) open(_ context.Context, take, view int) (*stored, error) {
	t, err := p.read(take)
	if err != nil {
		return nil, err
	}
	v := p.views[view]
	r := t.rows[v.Name]
	if r == nil {
		return nil, fmt.Errorf("take %s has no pairs with %s any more", t.id, v.Name)
	}
	s := &stored{name: t.id.String() + " of " + v.Name, samples: t.samples, dim: len(r.data) / t.samples, times: t.rows["ego"].times}
	if slices.Contains(r.weights, 0) {
		s.weights = r.weights
	}
	s.read = func(at int, dst []float32) error {
		copy(dst, r.data[at*s.dim:])
		return nil
	}
	return s, nil
}

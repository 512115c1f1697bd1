package compare

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"

	"tandem/tas"
	"tandem/trainer/dataset"
	"tandem/trainer/method"
)

// Report says what a training was and what came of it.
type Report struct {
	Method string `json:"method"`
	Source string `json:"source"` // of the method
	// UsesEgoLabels is true for the oracle alone: its student is what others are measured against, not one to be shipped.
	UsesEgoLabels bool   `json:"uses_ego_labels"`
	Seed          uint64 `json:"seed"`
	Recipe        string `json:"recipe"`
	Network       string `json:"network"`
	Teacher       string `json:"teacher_network"`
	Lags          []int  `json:"lags,omitempty"` // of the student's heads, in frames
	Hold          int    `json:"hold,omitempty"` // label hold of the figures below, in frames

	Data        string   `json:"data"`
	Format      string   `json:"format"`
	Fold        string   `json:"fold,omitempty"`
	Digest      string   `json:"digest,omitempty"` // of the data set, where it has one
	InputDigest string   `json:"input_digest"`     // SHA-256 of all that was trained on: features, weights, labels
	RateHz      float64  `json:"rate_hz,omitempty"`
	Classes     []string `json:"classes"`
	Background  []string `json:"background"`
	ExoDim      int      `json:"exo_features"`
	EgoDim      int      `json:"ego_features"`

	Labelled []string `json:"labelled"` // takes whose exo labels the teacher was trained on
	Pairs    []string `json:"pairs"`    // takes that the student learnt from
	Chosen   []string `json:"chosen_by,omitempty"`
	Gate     []string `json:"gate,omitempty"`
	// Agreement is how well the student finds the teacher's labels of the gate's pairs, on which nothing was trained or
	// chosen, in per cent; offsets of their clocks are not taken out. It is nil without such pairs.
	Agreement *tas.Scores     `json:"agreement,omitempty"`
	Offsets   []method.Offset `json:"offsets,omitempty"` // found of the pairs that were learnt from
	Test      *TestScores     `json:"test,omitempty"`    // only where they were asked for
	Seconds   float64         `json:"seconds"`
}

// TestScores are scores on the test takes of a fold.
type TestScores struct {
	Warning string      `json:"warning"`
	Takes   []string    `json:"takes"`
	Ego     tas.Scores  `json:"ego"`
	Exo     *tas.Scores `json:"exo,omitempty"` // the student on the exo side, where it can read that
}

func newReport(set *dataset.Dataset, s Single, m method.Method, fold dataset.Fold, p method.Problem, gate []method.Pair, u *unit) Report {
	r := Report{
		Method: m.Name, Source: m.Source, UsesEgoLabels: m.UsesOracle(), Seed: s.Options.Seed, Recipe: u.plan.recipe(),
		Network: s.Options.Network.Kind, Teacher: u.plan.teacherNetwork().Kind, Lags: s.Options.Network.Lags, Hold: u.hold.frames,
		Data: set.Name, Format: set.Format, Fold: s.Fold, Digest: set.Digest, InputDigest: inputDigest(p), RateHz: set.RateHz,
		Classes: set.Labels.Names(), Background: set.Background, ExoDim: p.Exo[0].Dim, EgoDim: u.data.ego.Dim, Labelled: fold.Train,
	}
	names := func(list []method.Pair) []string {
		var out []string
		for _, q := range list {
			out = append(out, q.Name)
		}
		return out
	}
	r.Pairs, r.Chosen, r.Gate = names(p.Pairs), names(p.Choose), names(gate)
	if m.UsesOracle() {
		held := map[string]bool{}
		for _, n := range r.Gate {
			held[n] = true
		}
		for _, n := range fold.Pairs {
			if !held[n] {
				r.Pairs = append(r.Pairs, n)
			}
		}
	}
	return r
}

// inputDigest covers the labelled exo sequences and the pairs of a problem.
func inputDigest(p method.Problem) string {
	h := sha256.New()
	for _, l := range p.Exo {
		digest(h, l.Sequence)
		for _, c := range l.Classes {
			number(h, uint32(c))
		}
	}
	for _, list := range [][]method.Pair{p.Pairs, p.Choose} {
		number(h, uint32(len(list)))
		for _, q := range list {
			digest(h, q.Ego)
			for _, x := range q.Exo {
				digest(h, x)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A hash never fails to write.
func number(h hash.Hash, n uint32) { _, _ = h.Write(binary.LittleEndian.AppendUint32(nil, n)) }

func digest(h hash.Hash, s method.Sequence) {
	buf := append([]byte(s.Name), 0)
	for _, list := range [][]float32{s.Features, s.Weights} {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(list)))
		for _, v := range list {
			buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
		}
	}
	_, _ = h.Write(buf)
}

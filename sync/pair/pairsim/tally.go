package pairsim

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sort"

	"tandem/sync/pair"
)

// tally joins takes and compares the pairs with the truth.
type tally struct {
	scene    *Scene
	captures [3][]int64 // true instants of exo1, exo2, ego
	dts      []int64    // true |Δt|
}

// take joins a take twice: with the streams as they come, and the rig's first, as one that was offline has it.
func (y *tally) take(sc *scene, streams [3][]pair.Sample) error {
	y.could()
	online, err := y.join(sc, streams, false, true)
	if err != nil {
		return err
	}
	offline, err := y.join(sc, streams, true, false)
	y.scene.CaughtUp = y.scene.CaughtUp && online == offline
	return err
}

// could counts the pairs of frames that are truly near enough.
func (y *tally) could() {
	for _, exo := range y.captures[:2] {
		for _, at := range y.captures[2] {
			k := sort.Search(len(exo), func(k int) bool { return exo[k] >= at })
			if k < len(exo) && exo[k]-at <= int64(maxDt) || k > 0 && at-exo[k-1] <= int64(maxDt) {
				y.scene.Could++
			}
		}
	}
}

// join returns a digest of all pairs.
func (y *tally) join(sc *scene, streams [3][]pair.Sample, rigFirst, count bool) (uint64, error) {
	j, err := pair.New(pair.Config{Exo: []string{"exo1", "exo2"}, MaxDt: maxDt, Buffer: 4096, Interpolate: sc.linear})
	if err != nil {
		return 0, err
	}
	digest := fnv.New64a()
	var next [3]int
	for {
		for row, ok := j.Next(); ok; row, ok = j.Next() {
			for i := range row.Matches {
				m := &row.Matches[i]
				fmt.Fprintf(digest, "%d %d %d %d %d %s;", i, row.Ego.Seq, m.Dt, m.Bound, m.Grade, m.Reason)
				if m.Exo != nil {
					fmt.Fprintf(digest, "%d;", m.Exo.Seq)
				}
				if count && m.Exo != nil {
					y.compare(i, row.Ego.Seq, m)
				}
			}
		}
		// The stream whose next sample is the oldest, or the rig's as long as it has room.
		best := -1
		for i, s := range streams {
			wants := next[i] < len(s) && (i == 2 && j.WantsEgo() || i < 2 && j.WantsExo(i))
			if wants && (best < 0 || s[next[i]].Time < streams[best][next[best]].Time || rigFirst && i == 2) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		s := streams[best][next[best]]
		if next[best]++; best == 2 {
			err = j.Ego(s)
		} else if err = j.Exo(best, s); err == nil && next[best] == len(streams[best]) {
			j.EndExo(best)
		}
		if err != nil {
			return 0, err
		}
	}
	if count {
		for i := range 2 {
			c := j.Counts(i)
			y.scene.Made += c.Pairs()
			s := &y.scene.Counts
			s.Gold, s.Silver, s.Bronze = s.Gold+c.Gold, s.Silver+c.Silver, s.Bronze+c.Bronze
			s.TooFar, s.TooWide, s.NoExo = s.TooFar+c.TooFar, s.TooWide+c.TooWide, s.NoExo+c.NoExo
		}
	}
	return digest.Sum64(), nil
}

// compare holds a pair against the truth.
func (y *tally) compare(camera int, ego int64, m *pair.Match) {
	exo := float64(y.captures[camera][m.Exo.Seq])
	if m.Other != nil {
		exo = (1-m.Weight)*exo + m.Weight*float64(y.captures[camera][m.Other.Seq])
	}
	dt := y.captures[2][ego] - int64(exo)
	off := max(dt-m.Dt, m.Dt-dt)
	if off > m.Bound {
		y.scene.Exceeded++
	}
	y.scene.Worst = max(y.scene.Worst, float64(off)/1e9)
	y.scene.WorstUse = max(y.scene.WorstUse, float64(off)/float64(m.Bound))
	y.dts = append(y.dts, max(dt, -dt))
}

// close fills in what needs all takes.
func (y *tally) close() {
	slices.Sort(y.dts)
	if len(y.dts) > 0 {
		y.scene.MedianDt = float64(y.dts[len(y.dts)/2]) / 1e9
	}
	if y.scene.Could > 0 {
		y.scene.Share = float64(y.scene.Made) / float64(y.scene.Could)
	}
}

package tas

import (
	"errors"
	"fmt"
)

// Video is one video to score. Its name is what errors call it.
type Video struct {
	Name string
	GT   []string // the true label of each frame
	Pred []string // the predicted label of each frame, as many
}

// Scores are the figures of temporal action segmentation, each in per cent from 0 to 100. With runs for the maximal
// blocks of equal labels, without those of background (which are taken out after the runs are formed, so that A,
// background, A is two runs of A):
//
// MoF is the share of frames that are right, pooled over all videos, background included.
//
// Edit is 100 (1 - lev(P, G) / max(|P|, |G|)) over the labels of the runs, 100 where neither has a run, as the mean over
// videos.
//
// F1At10, F1At25 and F1At50 are the harmonic means of precision and recall of the predicted runs, counted over all
// videos. Each predicted run, in time order,
// looks up the true run of its label with the largest intersection over union, the earliest on a tie, and hits if that is
// at least 10, 25 or 50 % and no earlier run has hit the same. Where neither has a run, nothing could be found and
// nothing was claimed: 100, as with Edit.
//
// All are as in Lea et al., "Temporal Convolutional Networks for Action Segmentation and Detection", CVPR 2017,
// section 4.1 (Metrics).
type Scores struct {
	MoF    float64 `json:"mof"`
	Edit   float64 `json:"edit"`
	F1At10 float64 `json:"f1_10"`
	F1At25 float64 `json:"f1_25"`
	F1At50 float64 `json:"f1_50"`
}

// overlaps are the least intersections over union, in per cent, of F1At10, F1At25 and F1At50.
var overlaps = [...]int{10, 25, 50}

// Score compares predictions with the truth. Background names the classes whose runs don't count; there may be none. No
// videos, a video without frames, and a prediction that isn't as long as its truth are errors; the latter two name the
// video. Nothing is ever cut to fit.
func Score(videos []Video, background ...string) (Scores, error) {
	if len(videos) == 0 {
		return Scores{}, errors.New("there are no videos to score")
	}
	classes := make(classIDs)
	hidden := make(map[int]bool, len(background))
	for _, name := range background {
		hidden[classes.id(name)] = true
	}
	var frames, right int
	var edit float64
	var found [len(overlaps)]tally
	for _, v := range videos {
		if len(v.GT) != len(v.Pred) {
			return Scores{}, fmt.Errorf("%s: the prediction has %d frames, the ground truth %d; they must be as many", v.Name, len(v.Pred), len(v.GT))
		}
		if len(v.GT) == 0 {
			return Scores{}, fmt.Errorf("%s: the video has no frames", v.Name)
		}
		gt, pred := classes.ids(v.GT), classes.ids(v.Pred)
		frames += len(gt)
		for t := range gt {
			if gt[t] == pred[t] {
				right++
			}
		}
		truth, claim := foreground(gt, hidden), foreground(pred, hidden)
		edit += editScore(claim, truth)
		countMatches(&found, claim, truth)
	}
	return Scores{
		MoF:    100 * float64(right) / float64(frames),
		Edit:   edit / float64(len(videos)),
		F1At10: found[0].f1(),
		F1At25: found[1].f1(),
		F1At50: found[2].f1(),
	}, nil
}

// foreground returns the runs of classes that are not hidden.
func foreground(frames []int, hidden map[int]bool) []Segment {
	runs := Runs(frames)
	kept := runs[:0]
	for _, r := range runs {
		if !hidden[r.Label] {
			kept = append(kept, r)
		}
	}
	return kept
}

// classIDs numbers names in the order in which they are first seen.
type classIDs map[string]int

func (c classIDs) id(name string) int {
	id, ok := c[name]
	if !ok {
		id = len(c)
		c[name] = id
	}
	return id
}

func (c classIDs) ids(names []string) []int {
	ids := make([]int, len(names))
	for t, name := range names {
		if t > 0 && name == names[t-1] {
			ids[t] = ids[t-1] // most frames: one comparison, often of the same string
			continue
		}
		ids[t] = c.id(name)
	}
	return ids
}

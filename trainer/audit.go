package trainer

import (
	"fmt"

	"tandem/stream/wire"
)

// Audit is what an archive holds, counted sample by sample.
type Audit struct {
	Takes    []TakeID
	Samples  uint64            // distinct ego samples
	Twice    uint64            // ego samples that are there more than once
	Paired   uint64            // distinct ego samples with at least one partner
	Grades   map[string]uint64 // pairs by grade
	Rejected map[string]uint64 // samples without a partner on a camera, by "camera/reason"
}

// ReadArchive counts what the archive in a directory holds. It may run beside a trainer that writes to it.
func ReadArchive(dir string) (*Audit, error) {
	ids, err := listTakes(dir)
	if err != nil {
		return nil, err
	}
	x := &Audit{Takes: ids, Grades: map[string]uint64{}, Rejected: map[string]uint64{}}
	for _, id := range ids {
		seen := map[uint64]bool{}
		rejected := map[string]uint64{}
		err := readTake(dir, id, -1, func(b *wire.PairBatch) error {
			for i := range b.Ego.RawNs {
				seq := b.Ego.FirstSeq + uint64(i)
				if seen[seq] {
					x.Twice++
					continue
				}
				seen[seq] = true
				paired := false
				for _, t := range b.Exo {
					if matched(t, i) {
						paired = true
						x.Grades[gradeNames[t.Grade[i]]]++
					}
				}
				if paired {
					x.Paired++
				}
			}
			for reason, n := range b.Rejected { // counted since the take began: the last batch has all
				rejected[reason] = max(rejected[reason], n)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("take %s: %w", id, err)
		}
		x.Samples += uint64(len(seen))
		for reason, n := range rejected {
			x.Rejected[reason] += n
		}
	}
	return x, nil
}

var gradeNames = map[wire.Grade]string{
	wire.Grade_GRADE_GOLD:   "gold",
	wire.Grade_GRADE_SILVER: "silver",
	wire.Grade_GRADE_BRONZE: "bronze",
}

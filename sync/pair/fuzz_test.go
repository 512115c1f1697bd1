package pair

import (
	"encoding/binary"
	"testing"
	"time"
)

// FuzzJoin pushes any samples in any order: the joiner refuses them or has sane rows, and never gets stuck.
func FuzzJoin(f *testing.F) {
	var steady []byte
	for k := range uint64(60) {
		steady = binary.LittleEndian.AppendUint64(append(steady, byte(k%3)), k*11e6)
		steady = binary.LittleEndian.AppendUint64(steady, k%5*1e6)
	}
	f.Add(steady, uint8(0))
	f.Add(steady, uint8(7))
	f.Fuzz(func(t *testing.T, b []byte, how uint8) {
		cfg := Config{Exo: []string{"a", "b"}, MaxDt: 50 * time.Millisecond, Buffer: 2 + int(how/4)%9, Interpolate: how&1 != 0}
		if how&2 != 0 {
			cfg.Lateness = time.Duration(how) * time.Millisecond
		}
		j := newJoiner(t, cfg)
		taken, rows := 0, 0
		drain := func() {
			for row, ok := j.Next(); ok; row, ok = j.Next() {
				rows++
				for _, m := range row.Matches {
					if (m.Exo == nil) != (m.Grade == Rejected) || (m.Exo == nil) != (m.Reason != "") || m.Bound < 0 || abs(m.Dt) > int64(cfg.MaxDt) ||
						m.Grade != Rejected && m.Grade != GradeOf(abs(m.Dt)+m.Bound) || m.Weight < 0 || m.Weight > 0.5 {
						t.Fatalf("%+v", row)
					}
				}
			}
		}
		for seq := int64(0); len(b) >= 17; b = b[17:] {
			s := Sample{Seq: seq, Time: int64(binary.LittleEndian.Uint64(b[1:])), Bound: int64(binary.LittleEndian.Uint64(b[9:]))}
			seq++
			switch who := b[0] % 4; {
			case who == 3:
				j.EndExo(int(b[0]/4) % 2)
			case who == 2 && j.WantsEgo():
				if j.Ego(s) == nil {
					taken++
				}
			case who < 2 && j.WantsExo(int(who)):
				_ = j.Exo(int(who), s) // an error is an answer
			}
			drain()
		}
		j.EndEgo()
		j.Expire(0)
		j.Expire(1)
		drain()
		if rows != taken || j.Waiting() != 0 {
			t.Fatalf("%d rows of %d ego samples", rows, taken)
		}
	})
}

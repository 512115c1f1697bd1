package frame

import (
	"fmt"
	"math"
)

// MaxRate bounds a Sampler's rate, in ticks a second.
const MaxRate = 1e6

// Sampler thins a camera's frames to the rate of a model. The rule:
//
//   - The first frame of a take is tick 0 and fixes the grid: tick k is due k/rate seconds later.
//   - A frame belongs to the tick nearest to its stamp (half a period rounds up). The first frame of a tick is taken;
//     later frames of the same tick are surplus.
//   - A tick that no frame came near is skipped: its sequence number never appears. Nothing is made up for it.
//   - A stamp before the one seen last is refused: time that goes back can't be placed. An equal one is surplus.
//   - A new rate holds from the next taken frame on, which becomes the new grid's origin and still gets its sequence
//     number from the old grid: numbers never repeat and never go back.
//
// So a sequence number counts ticks from the start of the take, not frames, and is the same whatever the camera's own
// rate, as long as its frames lie near the grid. The zero Sampler is not usable; call NewSampler. Not safe for
// concurrent use.
type Sampler struct {
	rate, next float64 // ticks a second; next holds from the next taken frame on
	started    bool
	origin     int64 // stamp of tick base
	base       int64 // sequence number at origin
	last       int64 // newest stamp seen
	seq        int64 // newest tick taken
	stats      SamplerStats
}

// SamplerStats counts what became of the frames offered to a Sampler.
type SamplerStats struct {
	Taken   int64 `json:"taken"`   // frames taken
	Surplus int64 `json:"surplus"` // frames of a tick that had one already
	Back    int64 `json:"back"`    // frames refused because their stamp went back
	Skipped int64 `json:"skipped"` // ticks without a frame
}

// NewSampler returns a sampler of rate ticks a second, 0 < rate ≤ MaxRate.
func NewSampler(rate float64) (*Sampler, error) {
	s := &Sampler{}
	if err := s.SetRate(rate); err != nil {
		return nil, err
	}
	s.rate = rate
	return s, nil
}

// SetRate changes the rate from the next taken frame on (see Sampler).
func (s *Sampler) SetRate(rate float64) error {
	if !(rate > 0 && rate <= MaxRate) {
		return fmt.Errorf("sampling rate %g Hz: want more than 0 and at most %g", rate, float64(MaxRate))
	}
	s.next = rate
	return nil
}

// Rate returns the rate that the next frame is judged by, in ticks a second.
func (s *Sampler) Rate() float64 { return s.rate }

// Take decides on a frame stamped t nanoseconds. When ok, the frame is to be used as number seq, and skipped ticks
// (≥ 0) had no frame since the last one taken. Otherwise it is to be let go; seq is the newest number taken and
// skipped 0.
func (s *Sampler) Take(t int64) (seq, skipped int64, ok bool) {
	if !s.started {
		s.started = true
		s.accept(t, 0)
		return 0, 0, true
	}
	if t < s.last {
		s.stats.Back++
		return s.seq, 0, false
	}
	s.last = t
	tick := s.tick(t)
	if tick <= s.seq {
		s.stats.Surplus++
		return s.seq, 0, false
	}
	skipped = tick - s.seq - 1
	s.stats.Skipped += skipped
	s.accept(t, tick)
	return tick, skipped, true
}

// tick returns the number of the tick nearest to t ≥ origin. The difference is taken without sign, so stamps at both
// ends of int64 work.
func (s *Sampler) tick(t int64) int64 {
	ns := float64(uint64(t) - uint64(s.origin))
	return s.base + int64(math.Floor(ns*s.rate/1e9+0.5))
}

func (s *Sampler) accept(t, seq int64) {
	s.stats.Taken++
	s.last, s.seq = t, seq
	if seq == 0 || s.rate != s.next {
		s.origin, s.base, s.rate = t, seq, s.next
	}
}

// Due returns the stamp at which tick seq is due on the present grid, in nanoseconds. Before the first frame there is
// no grid, and Due returns 0.
func (s *Sampler) Due(seq int64) int64 {
	if !s.started {
		return 0
	}
	return s.origin + int64(math.Round(float64(seq-s.base)*1e9/s.rate))
}

// Reset forgets the grid: the next frame is tick 0 of a new take. The counts go on.
func (s *Sampler) Reset() {
	*s = Sampler{rate: s.next, next: s.next, stats: s.stats}
}

// Stats returns the counts so far.
func (s *Sampler) Stats() SamplerStats { return s.stats }

// Package offset estimates by how much two streams of the same take are apart in time, from what they show: clocks miss
// the constant latency of a camera, and a rig's clock may be wrong.
//
// Each stream is turned into curves that say how much happens: the novelty of its features, which is high where it changes
// (Novelty, FromFeatures), or how much moves in its pictures (package motion). Where the curves of both agree best is the offset.
// Below a threshold nothing is claimed (ErrUnsure).
//
// Four things estimate:
//
//   - Compare, of two activities at any times of their own, in seconds: offset, standard error, drift, confidence. Joint is the
//     same for several cameras that share a clock. Channels are whitened and their correlations squared and summed at each lag, so it
//     need not be known which part of one picture is which part of the other.
//   - Tracker, Compare for live streams: samples go in as they come, an estimate over the last minutes comes out when asked.
//   - Pool, of many takes of the same two streams: what corresponds to what is learned from all takes together, without labels.
//   - Estimate, of two curves over the same frames, in frames.
package offset

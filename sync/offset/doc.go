// Package offset estimates by how much two streams of the same take are apart in time, from what they show: clocks miss
// the constant latency of a camera, and a rig's clock may be wrong.
//
// Each stream is turned into a novelty curve, which is high where the stream changes (Novelty). The curves are
// cross-correlated within a band of lags and the highest peak, refined to a part of a frame, is the offset; how far it
// stands above the next peak is the confidence (Estimate). Below a threshold nothing is claimed (ErrUnsure).
package offset

// Package vision trains image extractors: a net.DepthwiseCNN on the labelled frames of exo takes, by cross entropy over
// their action classes. What it learns to see is what a segmentation network then reads as features, of fixed cameras and
// of head-mounted ones, which it has never seen; the augmentation therefore takes colours away, tilts and moves.
package vision

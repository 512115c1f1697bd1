// Package gate decides whether a candidate may replace the release that runs, on pairs that were held out from training and
// from the choice of the checkpoint. No ego label exists there: what a candidate is measured against is the teacher on the
// exo side of the same instants, as far as its confidence, calibrated on labelled exo takes, can be believed.
//
// It sees only what networks say, so it doesn't matter how they are built.
package gate

// Package figure draws the table of a comparison: bars of each method with their spread, and where there are sweeps, the
// curves of score against clock error and against the share of the pairs.
package figure

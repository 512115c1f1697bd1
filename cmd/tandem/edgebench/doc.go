// Package edgebench measures what a device's runtime costs: bare decoding, preprocessing and models, which are the floor, the whole
// pipeline against it in the same run, the delay of provisional labels, and memory. The pipeline that is measured is package
// agent's own.
package edgebench

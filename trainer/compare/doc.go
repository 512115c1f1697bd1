// Package compare measures methods of adaptation on a data set: it trains each on each fold with several seeds, under
// clock errors and with fewer pairs if wanted, scores the students on ego takes that nobody has seen, and makes the
// table of mean and spread.
//
// Ego labels of the test takes are read for scores, those of the other takes for the method ego-oracle alone.
package compare

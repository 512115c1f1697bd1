// Package method holds the ways in which a student learns to segment a head-mounted camera's video from fixed cameras
// that already can, each under one name (Names, Get), with the baselines that they are measured against.
//
// A Problem is what they are given: labelled exo sequences, and unlabelled pairs of ego and exo sequences of the same
// instants. A teacher is trained on the first (Teacher), a student with its help on the second:
//
//	teacher, err := method.Teacher(ctx, problem, options)
//	...
//	options.Teacher = teacher // without it each method trains one of its own
//	m, err := method.Get("tandem")
//	...
//	student, err := m.Train(ctx, problem, options)
//
// Ego labels are in no pair. They come as an Oracle, which only the method that is called after it takes; the others
// refuse a problem that has one.
//
// The same problem, options and number of threads give the same weights.
package method

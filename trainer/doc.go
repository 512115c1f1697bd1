// Package trainer is the central trainer: it trains the teacher on labelled exo takes, gathers the rigs' pairs into an
// archive, distils the teacher into an ego student, checks it on held-out pairs and releases it.
//
// No ego label ever reaches this package: what a student is trained on and chosen by are pairs and the teacher's scores.
package trainer

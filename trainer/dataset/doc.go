// Package dataset reads data sets for training and comparing methods: takes seen by exo cameras and a head-mounted one, as
// features with labels. One Dataset looks the same whatever the files look like (Formats), a take's features are read
// when they are asked for, and a data set is never in memory as a whole.
//
//	d, err := dataset.Open(ctx, "data/two-stream-50salads", dataset.Auto, dataset.Options{})
//	...
//	defer d.Close()
//	for _, name := range d.Folds()[0].Train {
//		take, _ := d.Take(name)
//		exo, err := take.Features(ctx, "exo") // [T, D], sample t of every view is of the same instant
//		labels, err := take.Labels(ctx)       // of the exo views
//		...
//	}
//
// Labels of the ego view are apart: Dataset.EgoLabels gives them to the holder of an Oracle, and a data set that was
// made blind (Dataset.Blind) has none, so that a method that must not see them can't.
//
// Import writes any data set in Tandem's own layout. What is wrong with files is an error that names the file and the
// frame or line; nothing is cut to fit in silence.
package dataset

// Package sim renders the simulated cell: a bench with bins, tools and a growing assembly, a worker who follows a process
// with an order, repeats and mistakes, two fixed colour cameras and a monochrome head-mounted one, and the truth about all of it.
//
// A [Scene] is the take before any pixel exists: who works, what happens in which frame, when each camera captured each frame and which stamp
// its device put on it. [Render] draws a scene into a take directory; [ReadTake] reads the truth of one back.
//
// # A take on disk
//
//	exo1.mp4 exo2.mp4 ego.mp4     the frames that each device got, at a constant container rate
//	exo1.stamps.csv ...           "frame,raw_ns": the stamp of each frame in the mp4, ns since the Unix epoch
//	labels.txt                    a label a line for each frame of the nominal timeline
//	truth.json                    a [Take]
//
// # Space
//
// Metres. The origin lies in the middle of the bench's front edge, on its surface: x to the worker's right, y away from
// the worker, z up.
//
// # Determinism
//
// Everything random comes from generators seeded by (seed, take, purpose), so that the same configuration gives the same truth on every
// machine, and leaving out a camera or changing a picture size changes nothing else. Pixels are the same on the same kind of machine.
package sim

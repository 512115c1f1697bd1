// Package agent is what runs on a device. In the exo role it turns a fixed camera's pictures into the teacher's stream;
// in the ego role it turns a head-mounted camera's pictures into segments, pairs its samples with the teacher's streams
// and uploads the pairs. In both it follows the releases that the trainer assigns and changes models between two frames.
//
// A camera's way from picture to segment (pipeline) is a row of stages, a goroutine each; others publish, pair, and fetch
// releases. Each has an owner that waits for it: Agent.Run returns when all have ended. A Group runs the agents of several
// cameras in one process.
package agent

// Package jobs shares a line's training among any number of trainer processes. What is to be done and what came of it
// stands in the bucket TRAINING, one Job for each cell and one for the line's teacher; who does it is settled by the work
// queue JOBS. Two processes that both see enough takes make one job, a process that ends in the middle of a job loses
// nothing, and one that was taken for dead and comes back can't release anything any more.
package jobs

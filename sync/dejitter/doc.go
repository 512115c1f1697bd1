// Package dejitter turns the instants at which frames arrive into the instants at which they were captured.
//
// A camera captures at a steady rate; what lies between capture and arrival is a constant part and noise. The constant
// part cannot be seen from stamps: neither a floor nor a mean of the latency is observable. A stamp is therefore
//
//	capture + (typical latency − Config.Latency)
//
// where the typical latency is the centre of the arrivals' noise without its tail (Huber's location). With Latency set to
// what was measured, the stamp is the instant of capture. Queues only delay, so noise has a long tail on the late side and
// none on the early side: arrivals that are later than 4.5 standard deviations have no weight in the fit, and an arrival
// earlier than noise allows is no new frame, but the last one delivered again.
//
// The fit is recursive least squares with Huber weights and exponential forgetting (Ljung, System Identification, 2nd ed.,
// section 11.2; Huber, Robust Statistics, section 7.8), over the number of the frame, which nobody tells: it is inferred
// from the spacing. Where spacing alone does not decide, such as between one late frame and one lost frame, the more likely
// number is taken and Stamp.Doubt says by how much the stamp is off if the other one holds.
//
// Where the driver gives stamps too, they are used as the abscissa instead of the frame's number once they have earned it:
// see Dejitter.Driver.
//
// Nothing is allocated a frame, and memory is constant.
package dejitter

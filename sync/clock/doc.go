// Package clock answers "what is the site's time?" by an interval that holds it, in the manner of ClockBound (AWS) and
// fbclock (Meta): earliest, latest, a best estimate between them that never runs backwards, the source and its state.
//
// Site time is the hub's clock. Filter turns NTP exchanges with it into intervals; it does no input or output and reads no
// clock, so that hours of it run in milliseconds (clocksim). Pacer makes the estimate monotonic. Clock wires them to sources:
// a PTP hardware clock, chrony's own bound, the kernel's (adjtimex), and NTP bursts to the hub, which Responder answers.
//
// An NTP exchange proves something about the offset θ between site and local clock, whatever the network did: the request
// did not arrive before it was sent, so θ ≤ t2 − t1, and neither did the answer, so θ ≥ t3 − t4 (the argument of Marzullo and
// Owicki, "Maintaining the time in a distributed system", 1983). The interval is as wide as the round trip, and no asymmetry
// of the path leads out of it. Filter intersects the intervals of the last minute under the one assumption that it makes,
// stated in Limits: how fast a skew may change.
package clock

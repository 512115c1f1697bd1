// Package bus moves Tandem's messages over NATS JetStream: an embedded server for a machine that has none, connections
// that come back by themselves, the streams and buckets of a site, a publisher that loses nothing, consumers that
// neither lose nor loop, and the stores of releases and assignments.
//
// Everything works alike against an embedded server, an external nats-server and a cluster. Subjects are
// tandem.v1.<site>.<cell>.<device>.<kind>; docs/wire.md tells the rest.
package bus

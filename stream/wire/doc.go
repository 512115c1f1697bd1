// Package wire is the format of everything that Tandem's machines send each other: protobuf messages, strict decoders,
// fp16 vectors, message ids and compression.
//
// tandem.proto is the specification. A message is made by Encode, which refuses what Decode would refuse, so that no sender
// can poison a stream; the Decode functions trust nothing: they check sizes, lengths, ranges, tokens and enum values and
// their errors name the message and the field, and wrap ErrInvalid.
package wire

//go:generate ./generate.sh

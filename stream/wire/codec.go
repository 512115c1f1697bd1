package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// MaxMessage is the size in bytes beyond which no message is made or read. It is also the max_payload of Tandem's own
// NATS server; an external one needs the same.
const MaxMessage = 8 << 20

// ErrInvalid is what every error of Encode and of the Decode functions wraps: sending or delivering the message again
// can't help.
var ErrInvalid = errors.New("invalid message")

// Message is a message of tandem.proto that knows its own rules.
type Message interface {
	proto.Message
	// Validate returns an error that names the first field which breaks the message's rules and wraps ErrInvalid.
	Validate() error
}

// Encode validates m and returns its bytes, which are the same each time. m may be reused once Encode has returned.
func Encode(m Message) ([]byte, error) {
	name := m.ProtoReflect().Descriptor().Name()
	if err := m.Validate(); err != nil {
		return nil, err
	}
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: encode %s: %w", ErrInvalid, name, err)
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("%w: %s has %d bytes, the limit is %d: send shorter batches", ErrInvalid, name, len(data), MaxMessage)
	}
	return data, nil
}

// DecodeSampleBatch reads and validates a SampleBatch. It keeps no reference to data, like all the Decode functions.
func DecodeSampleBatch(data []byte) (*SampleBatch, error) { return decode(data, new(SampleBatch)) }

// DecodePairBatch reads and validates a PairBatch.
func DecodePairBatch(data []byte) (*PairBatch, error) { return decode(data, new(PairBatch)) }

// DecodeSegmentEvent reads and validates a SegmentEvent.
func DecodeSegmentEvent(data []byte) (*SegmentEvent, error) { return decode(data, new(SegmentEvent)) }

// DecodeStatus reads and validates a Status.
func DecodeStatus(data []byte) (*Status, error) { return decode(data, new(Status)) }

// DecodeAssignment reads and validates an Assignment.
func DecodeAssignment(data []byte) (*Assignment, error) { return decode(data, new(Assignment)) }

// DecodeReleaseInfo reads and validates a ReleaseInfo.
func DecodeReleaseInfo(data []byte) (*ReleaseInfo, error) { return decode(data, new(ReleaseInfo)) }

// decode fills m from data. Fields that this version doesn't know are skipped: a newer sender may add some.
func decode[M Message](data []byte, m M) (M, error) {
	var none M
	name := m.ProtoReflect().Descriptor().Name()
	if len(data) > MaxMessage {
		return none, fmt.Errorf("%w: %s has %d bytes, the limit is %d", ErrInvalid, name, len(data), MaxMessage)
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return none, fmt.Errorf("%w: decode %s of %d bytes: %w", ErrInvalid, name, len(data), err)
	}
	if err := m.Validate(); err != nil {
		return none, err
	}
	return m, nil
}

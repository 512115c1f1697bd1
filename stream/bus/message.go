package bus

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Message is a stored message as a consumer gets it. Data must not be changed.
type Message struct {
	Subject  string
	ID       string    // the id it was published under, or empty
	Data     []byte    //
	Stream   string    //
	Sequence uint64    // in the stream
	Stored   time.Time // when the server stored it, by the server's clock
	Tries    uint64    // deliveries to this durable consumer, this one included
	Pending  uint64    // matching messages in the stream behind this one
}

func newMessage(msg jetstream.Msg) (*Message, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("message on %s: %w", msg.Subject(), err)
	}
	return &Message{
		Subject:  msg.Subject(),
		ID:       msg.Headers().Get(jetstream.MsgIDHeader),
		Data:     msg.Data(),
		Stream:   meta.Stream,
		Sequence: meta.Sequence.Stream,
		Stored:   meta.Timestamp,
		Tries:    meta.NumDelivered,
		Pending:  meta.NumPending,
	}, nil
}

package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

// namesakes notices other agents that run under this one's name, by their status messages. Their messages would be taken for
// this one's.
type namesakes struct {
	*status
	stream   jetstream.Stream
	looked   bool
	last     uint64    // sequence of the newest message known
	instance uint64    // of the other one that was seen last
	seen     int       // times
	when     time.Time // the last time
}

// namesakeSeen is how many messages of another agent must come for it to run now: the first may have been on its way.
const namesakeSeen = 2

// look reads the newest status of this name. The agent that began later gives way: its error says to whom. The other one says
// so in its status.
func (n *namesakes) look(ctx context.Context) error {
	m, seq := n.newest(ctx)
	if m == nil {
		return nil
	}
	first := !n.looked
	n.looked = true
	if seq == n.last || m.Instance == n.status.instance || first {
		n.last = seq
		if n.seen > 0 && time.Since(n.when) > 4*max(n.cfg.StatusEvery, time.Second) {
			n.seen = 0
			n.set(func() { n.namesake = "" })
		}
		return nil
	}
	if m.Instance != n.instance {
		n.instance, n.seen = m.Instance, 0
	}
	n.last, n.when = seq, time.Now()
	if n.seen++; n.seen < namesakeSeen {
		return nil
	}
	where := "on another machine"
	if m.Host != "" {
		where = "on " + m.Host
	}
	text := fmt.Sprintf("another agent runs under the name %s in cell %s, %s since %s: give one of them another name", n.cfg.Device, n.cfg.Cell,
		where, time.Unix(0, m.StartedNs).UTC().Format(time.RFC3339))
	mine := n.started.UnixNano()
	if m.StartedNs < mine || m.StartedNs == mine && m.Instance < n.status.instance {
		return fmt.Errorf("device: %s", text)
	}
	if n.seen == namesakeSeen {
		n.log.Error("two agents under one name", "other", where)
	}
	n.set(func() { n.namesake = text })
	return nil
}

// newest returns the newest status of this name and its sequence number, nil when there is none or the hub is away.
func (n *namesakes) newest(ctx context.Context) (*wire.Status, uint64) {
	if !n.conn.Stats().Connected {
		return nil, 0
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if n.stream == nil {
		stream, err := n.conn.JetStream().Stream(ctx, bus.StreamStatus)
		if err != nil {
			return nil, 0
		}
		n.stream = stream
	}
	raw, err := n.stream.GetLastMsgForSubject(ctx, n.cfg.subject(bus.Status).String())
	if err != nil {
		n.looked = n.looked || n.conn.Stats().Connected // there is none yet
		return nil, 0
	}
	m, err := wire.DecodeStatus(raw.Data)
	if err != nil {
		return nil, 0
	}
	return m, raw.Sequence
}

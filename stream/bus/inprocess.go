package bus

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

// inProcess connects to a server in this process.
type inProcess struct{ ns *server.Server }

// InProcessConn implements nats.InProcessConnProvider.
func (p inProcess) InProcessConn() (net.Conn, error) {
	conn, err := p.ns.InProcessConn()
	if err != nil {
		return nil, err
	}
	return &greetingConn{Conn: conn}, nil
}

// greetingConn writes the client's greeting in a goroutine until the server has answered it. On the library's pipe a
// write lasts until the other side has read it: a server that refuses a client stops reading in the middle of the
// greeting to say so, while the client writes and doesn't listen, and the reason would be lost when the server gives up.
type greetingConn struct {
	net.Conn
	wrote, answered atomic.Bool

	mu    sync.Mutex
	over  bool
	queue chan []byte   // nil until the first write
	done  chan struct{} // closed when what was queued is written, or err is set
	err   error
}

// Read notes the first answer.
func (c *greetingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.wrote.Load() {
		c.answered.Store(true)
	}
	return n, err
}

// Write returns at once during the greeting; an error of the greeting comes with the first write after it.
func (c *greetingConn) Write(b []byte) (int, error) {
	if c.greet(b) {
		return len(b), nil
	}
	if err := c.end(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close ends a greeting that is still on its way.
func (c *greetingConn) Close() error {
	err := c.Conn.Close()
	_ = c.end()
	return err
}

// greet takes b over if it belongs to the greeting.
func (c *greetingConn) greet(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.answered.Load() {
		return false
	}
	if c.queue == nil {
		c.queue, c.done = make(chan []byte, 8), make(chan struct{})
		go c.write()
	}
	c.wrote.Store(true)
	select {
	case c.queue <- slices.Clone(b):
		return true
	default:
		return false // too much for a greeting
	}
}

func (c *greetingConn) write() {
	defer close(c.done)
	for b := range c.queue {
		if c.err == nil {
			_, c.err = c.Conn.Write(b)
		}
	}
}

// end waits until the greeting is written and returns its error.
func (c *greetingConn) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue == nil {
		c.over = true
		return nil
	}
	if !c.over {
		c.over = true
		close(c.queue)
	}
	<-c.done
	return c.err
}

package bus

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet swallows logs; what a test asserts is in errors and counters.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// testContext ends with the test, and bounds every wait in it.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// startServer starts a server on a free port and stops it with the test.
func startServer(t *testing.T, cfg ServerConfig) *Server {
	t.Helper()
	if cfg.StoreDir == "" {
		cfg.StoreDir = t.TempDir()
	}
	cfg.Logger = quiet
	s, err := StartServer(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect connects and closes the connection with the test.
func connect(t *testing.T, cfg Config) *Conn {
	t.Helper()
	cfg.Logger = quiet
	c, err := Connect(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// site is an in-process server with the streams and a connection to it.
func site(t *testing.T) (*Server, *Conn) {
	t.Helper()
	s := startServer(t, ServerConfig{})
	c := connect(t, Config{InProcess: s, Name: "test"})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{Store: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func newPublisher(t *testing.T, c *Conn, cfg PublisherConfig) *Publisher {
	t.Helper()
	cfg.Logger = quiet
	p, err := NewPublisher(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says where and how to connect. Either URLs or InProcess must be set.
type Config struct {
	// URLs are the servers: nats://, tls:// or wss://HOST:PORT, user and password or a token before an @.
	URLs []string
	// InProcess is a server in this process, used instead of URLs.
	InProcess *Server
	// Name identifies the connection in the server's monitoring: the device or service.
	Name string
	// Credentials is a .creds file (JWT and key), NKey a file with a seed; at most one of them.
	Credentials, NKey string
	// User and Password, where the URL doesn't hold them.
	User, Password string
	// TLSCert and TLSKey are the client's certificate, TLSCA the authorities to trust instead of the system's.
	TLSCert, TLSKey, TLSCA string
	// Domain is the JetStream domain to talk to; empty for the server's own.
	Domain string
	// Timeout bounds the first connection, each server's try included; default 5 s.
	Timeout time.Duration
	// Logger takes changes of the connection; by default slog.Default.
	Logger *slog.Logger
}

// Conn is a connection to NATS. Once made it comes back by itself, for ever. Close ends it.
type Conn struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	log    *slog.Logger
	closed chan struct{}

	disconnects, reconnects, asyncErrors atomic.Uint64
	mu                                   sync.Mutex
	lastErr                              string
}

// ConnStats is the state of a connection and what happened to it since Connect.
type ConnStats struct {
	Connected   bool
	Disconnects uint64
	Reconnects  uint64
	AsyncErrors uint64 // refused subjects, slow consumers and the like
	LastError   string // the latest, empty when there was none
}

// Connect connects, or returns one line that names the servers and the cause.
func Connect(ctx context.Context, cfg Config) (*Conn, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	c := &Conn{log: cfg.Logger.With("conn", cfg.Name), closed: make(chan struct{})}
	where := "in this process"
	if cfg.InProcess == nil {
		if err := checkURLs(cfg.URLs); err != nil {
			return nil, err
		}
		where = "at " + redact(cfg.URLs)
	}
	dialer := newDialer(ctx, cfg.Timeout)
	opts, err := cfg.options(c, dialer)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS %s: %w", where, err)
	}
	c.nc, err = nats.Connect(strings.Join(cfg.URLs, ","), opts...)
	dialErr := dialer.connected()
	if err != nil {
		if dialErr != nil {
			err = dialErr
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		if errors.Is(err, nats.ErrAuthorization) {
			return nil, fmt.Errorf("connect to NATS %s: %w: check the user, credentials or nkey", where, err)
		}
		return nil, fmt.Errorf("connect to NATS %s: %w: is it running there? 'tandem hub' starts one", where, err)
	}
	if cfg.Domain != "" {
		c.js, err = jetstream.NewWithDomain(c.nc, cfg.Domain)
	} else {
		c.js, err = jetstream.New(c.nc)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to NATS %s: %w", where, err)
	}
	return c, nil
}

// NATS returns the underlying connection. It must not be closed.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// JetStream returns JetStream in the configured domain.
func (c *Conn) JetStream() jetstream.JetStream { return c.js }

// Stats may be called at any time.
func (c *Conn) Stats() ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnStats{
		Connected:   c.nc.IsConnected(),
		Disconnects: c.disconnects.Load(),
		Reconnects:  c.reconnects.Load(),
		AsyncErrors: c.asyncErrors.Load(),
		LastError:   c.lastErr,
	}
}

// Close ends the connection and waits until its goroutines are gone. Publishers and consumers on it must have ended. It
// may be called more than once.
func (c *Conn) Close() {
	c.nc.Close()
	<-c.closed
}

func (c *Conn) fail(err error) {
	c.mu.Lock()
	c.lastErr = err.Error()
	c.mu.Unlock()
}

// options turns the configuration into nats.go's.
func (cfg Config) options(c *Conn, dialer *dialer) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.Timeout(cfg.Timeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, time.Second),
		// What is published while disconnected fails at once: the Publisher holds it, in order and bounded.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			c.disconnects.Add(1)
			if err != nil {
				c.fail(err)
				c.log.Warn("nats: disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.reconnects.Add(1)
			c.log.Info("nats: connected again", "url", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			c.asyncErrors.Add(1)
			c.fail(err)
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			c.log.Warn("nats: error", "subject", subject, "error", err)
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }),
	}
	if cfg.InProcess != nil {
		opts = append(opts, nats.InProcessServer(inProcess{cfg.InProcess.ns}))
	} else {
		opts = append(opts, nats.SetCustomDialer(dialer))
	}
	if cfg.Credentials != "" && cfg.NKey != "" {
		return nil, errors.New("both a credentials file and an nkey are given: choose one")
	}
	if cfg.User != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.Credentials != "" {
		opts = append(opts, nats.UserCredentials(cfg.Credentials))
	}
	if cfg.NKey != "" {
		opt, err := nats.NkeyOptionFromSeed(cfg.NKey)
		if err != nil {
			return nil, fmt.Errorf("nkey %s: %w", cfg.NKey, err)
		}
		opts = append(opts, opt)
	}
	if (cfg.TLSCert == "") != (cfg.TLSKey == "") {
		return nil, errors.New("a TLS certificate and its key go together: one of them is missing")
	}
	if cfg.TLSCert != "" {
		opts = append(opts, nats.ClientCert(cfg.TLSCert, cfg.TLSKey))
	}
	if cfg.TLSCA != "" {
		opts = append(opts, nats.RootCAs(cfg.TLSCA))
	}
	return opts, nil
}

// dialer keeps why the first connection failed, which nats.go replaces by "no servers available", and lets the caller's
// context end it.
type dialer struct {
	timeout time.Duration
	mu      sync.Mutex
	ctx     context.Context // of Connect; nil once it has returned
	err     error
}

func newDialer(ctx context.Context, timeout time.Duration) *dialer {
	return &dialer{ctx: ctx, timeout: timeout}
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	ctx := d.ctx
	d.mu.Unlock()
	if ctx == nil {
		ctx = context.Background()
	}
	nd := net.Dialer{Timeout: d.timeout}
	conn, err := nd.DialContext(ctx, network, address)
	var op *net.OpError
	if errors.As(err, &op) {
		d.mu.Lock()
		d.err = op.Err
		d.mu.Unlock()
	}
	return conn, err
}

// connected ends the first connection and returns why it failed, if dialing did.
func (d *dialer) connected() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ctx = nil
	return d.err
}

// checkURLs looks for what nats.go would accept and then fail on in a confusing way.
func checkURLs(urls []string) error {
	if len(urls) == 0 {
		return errors.New("connect to NATS: no URL given: expected nats://HOST:PORT")
	}
	for _, text := range urls {
		full := text
		if !strings.Contains(text, "://") {
			full = "nats://" + text
		}
		u, err := url.Parse(full)
		if err != nil || u.Hostname() == "" {
			return fmt.Errorf("connect to NATS: URL %s: expected nats://HOST:PORT", redact([]string{text}))
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return fmt.Errorf("connect to NATS: URL %s: scheme %q is unknown: expected nats, tls, ws or wss", redact([]string{text}), u.Scheme)
		}
	}
	return nil
}

// redact shows URLs without their passwords and tokens.
func redact(urls []string) string {
	shown := make([]string, len(urls))
	for i, text := range urls {
		shown[i] = text
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			scheme, _, _ := strings.Cut(text, "://")
			shown[i] = scheme + "://…" + text[at:]
		}
	}
	return strings.Join(shown, ", ")
}

package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tandem/stream/wire"
)

// ServerConfig says how an embedded server runs. Only StoreDir must be set.
type ServerConfig struct {
	// Name is the server's name in logs and monitoring; by default the host's.
	Name string
	// StoreDir holds the streams. It is made if it isn't there, and belongs to one server at a time.
	StoreDir string
	// Listen is the HOST:PORT for clients; port 0 takes any free one, an empty host means all interfaces. Empty: the
	// server is reached from inside this process only.
	Listen string
	// Monitor is the HOST:PORT of the HTTP monitoring pages (/varz, /jsz, /healthz); empty for none.
	Monitor string
	// MaxStore bounds the disk that all streams take together, in bytes. 0 takes three quarters of what the disk has
	// free and the store already holds.
	MaxStore int64
	// SyncAlways makes the server acknowledge a message only once it is on the disk, whatever happens to the power; it
	// costs two thirds of the throughput or more. Otherwise writes reach the disk within SyncInterval (default 2 minutes).
	SyncAlways   bool
	SyncInterval time.Duration
	// Domain is the JetStream domain. Every machine of a site has its own once leaf nodes are used.
	Domain string
	// Leaf are the hubs that this server connects to as a leaf node.
	Leaf []LeafRemote
	// ConfigFile is a nats-server configuration file that is read first. What is set here wins.
	ConfigFile string
	// ReadyTimeout bounds the start, recovery of the streams included; default 60 s.
	ReadyTimeout time.Duration
	// Logger takes the server's messages, notices at debug level; by default slog.Default.
	Logger *slog.Logger
}

// LeafRemote is a hub to which a server connects as a leaf node.
type LeafRemote struct {
	URLs        []string // nats-leaf://host:7422, several for a cluster
	Credentials string   // a .creds file, or empty
}

// Server is a nats-server with JetStream in this process. Close stops it.
type Server struct {
	ns    *server.Server
	log   *serverLog
	lock  *os.File
	dir   string
	store int64
	close sync.Once
}

// StartServer starts a server and waits until it is ready. Its errors are one line and say what to do.
func StartServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if err := checkFree(ctx, cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen %s: %w", cfg.Listen, err)
	}
	if err := checkFree(ctx, cfg.Monitor); err != nil {
		return nil, fmt.Errorf("monitor %s: %w", cfg.Monitor, err)
	}
	lock, err := lockStore(opts.StoreDir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock, dir: opts.StoreDir, log: &serverLog{log: cfg.Logger}}
	if s.log.log == nil {
		s.log.log = slog.Default()
	}
	if opts.JetStreamMaxStore == 0 {
		opts.JetStreamMaxStore = storeBudget(opts.StoreDir)
	}
	s.store = opts.JetStreamMaxStore
	if err := s.start(ctx, opts, cfg.ReadyTimeout); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return s, nil
}

// start runs the server that opts describe until it is ready, or leaves nothing running.
func (s *Server) start(ctx context.Context, opts *server.Options, timeout time.Duration) error {
	if timeout <= 0 {
		timeout = time.Minute
	}
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(end))
	}
	ns, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("nats server: %s", wire.OneLine(err.Error()))
	}
	ns.SetLoggerV2(s.log, false, false, false)
	s.ns = ns
	ns.Start()
	fatal := s.log.fatal.Load()
	if fatal == nil && ns.ReadyForConnections(timeout) && ctx.Err() == nil {
		return nil
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	if fatal = s.log.fatal.Load(); fatal != nil {
		return fmt.Errorf("nats server: %s", *fatal)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("nats server: %w", err)
	}
	return fmt.Errorf("nats server: not ready after %v", timeout)
}

// URL is where clients on this machine reach the server; empty when it doesn't listen.
func (s *Server) URL() string {
	addr, ok := s.ns.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return "nats://" + reachable(addr)
}

// MonitorURL is the address of the monitoring pages; empty when there are none.
func (s *Server) MonitorURL() string {
	addr := s.ns.MonitorAddr()
	if addr == nil {
		return ""
	}
	return "http://" + reachable(addr)
}

// MaxStore is the bound on the disk that the streams take together, in bytes.
func (s *Server) MaxStore() int64 { return s.store }

// Check returns an error when the server no longer does its work: it has stopped by itself, or switched JetStream off, as
// it does when the disk is full or broken.
func (s *Server) Check() error {
	if !s.ns.Running() {
		return errors.New("nats server: it has stopped by itself")
	}
	if !s.ns.JetStreamEnabled() {
		return fmt.Errorf("nats server: JetStream has been switched off: is the disk of %s full or broken?", s.dir)
	}
	return nil
}

// Close stops the server and waits until it is gone. Connections in the process should be closed before. It may be
// called more than once.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		s.ns.Shutdown()
		s.ns.WaitForShutdown()
		err = s.lock.Close()
	})
	return err
}

// options turns the configuration into the server's.
func (cfg ServerConfig) options() (*server.Options, error) {
	opts := &server.Options{}
	if cfg.ConfigFile != "" {
		var err error
		if opts, err = server.ProcessConfigFile(cfg.ConfigFile); err != nil {
			return nil, fmt.Errorf("nats configuration %s: %s", cfg.ConfigFile, wire.OneLine(err.Error()))
		}
	} else {
		opts.DontListen = cfg.Listen == ""
	}
	opts.NoSigs = true
	opts.JetStream = true
	opts.DisableJetStreamBanner = true
	if cfg.Name != "" {
		opts.ServerName = cfg.Name
	}
	if cfg.StoreDir != "" {
		opts.StoreDir = cfg.StoreDir
	}
	if opts.StoreDir == "" {
		return nil, errors.New("nats server: no store directory: where shall the streams be kept?")
	}
	if cfg.MaxStore < 0 {
		return nil, fmt.Errorf("nats server: max store: %d bytes, expected more than 0", cfg.MaxStore)
	}
	if cfg.MaxStore > 0 {
		opts.JetStreamMaxStore = cfg.MaxStore
	}
	if cfg.SyncAlways {
		opts.SyncAlways = true
	}
	if cfg.SyncInterval > 0 {
		opts.SyncInterval = cfg.SyncInterval
	}
	if cfg.Domain != "" {
		if err := wire.CheckToken("domain", cfg.Domain); err != nil {
			return nil, fmt.Errorf("nats server: %w", err)
		}
		opts.JetStreamDomain = cfg.Domain
	}
	if opts.MaxPayload == 0 {
		opts.MaxPayload = wire.MaxMessage
	}
	// What a leaf node hears about the hub's other addresses must not lead it around a proxy or a tunnel.
	opts.LeafNode.NoAdvertise = true
	for _, r := range cfg.Leaf {
		remote := &server.RemoteLeafOpts{Credentials: r.Credentials}
		for _, text := range r.URLs {
			u, err := url.Parse(text)
			if err != nil || u.Host == "" {
				return nil, fmt.Errorf("nats server: leaf URL %q: expected nats-leaf://HOST:PORT", text)
			}
			remote.URLs = append(remote.URLs, u)
		}
		opts.LeafNode.Remotes = append(opts.LeafNode.Remotes, remote)
	}
	if cfg.Listen != "" {
		host, port, err := splitAddress(cfg.Listen)
		if err != nil {
			return nil, fmt.Errorf("listen %s: %w", cfg.Listen, err)
		}
		opts.Host, opts.Port = host, port
	}
	if cfg.Monitor != "" {
		host, port, err := splitAddress(cfg.Monitor)
		if err != nil {
			return nil, fmt.Errorf("monitor %s: %w", cfg.Monitor, err)
		}
		opts.HTTPHost, opts.HTTPPort = host, port
	}
	return opts, nil
}

// splitAddress reads HOST:PORT; port 0 becomes nats-server's -1, any free port.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, errors.New("not an address: expected HOST:PORT")
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q: expected 0 to 65535", text)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, nil
}

// checkFree tries the address, because the server's own report of a failure has no cause that a program could read.
func checkFree(ctx context.Context, addr string) error {
	if addr == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return errors.New("the port is in use: stop what uses it (ss -ltnp shows it) or choose another port, 0 for any free one")
	case errors.Is(err, syscall.EACCES):
		return errors.New("this user may not listen there: choose a port above 1023")
	default:
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return err
	}
}

// lockStore makes the store directory, proves that it can be written and keeps other processes out of it until the file
// is closed: two servers on one store destroy it.
func lockStore(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("store directory %s can't be made: %w: choose another one", dir, cause(err))
	}
	f, err := os.OpenFile(filepath.Join(dir, "tandem.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("store directory %s can't be written: %w: choose another one or change its owner", dir, cause(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("store directory %s is in use by another server: stop that one or choose another directory", dir)
		}
		return nil, fmt.Errorf("lock store directory %s: %w", dir, err)
	}
	return f, nil
}

// storeBudget is three quarters of the room that the streams in dir could have, so that the rest stays a reserve.
func storeBudget(dir string) int64 {
	const fallback = 16 << 30
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fallback
	}
	room := int64(st.Bavail) * st.Bsize //nolint:unconvert // the types differ between systems
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				room += info.Size()
			}
		}
		return nil // what can't be read doesn't count
	})
	return room / 4 * 3
}

// reachable is an address at which this machine reaches a listener.
func reachable(addr *net.TCPAddr) string {
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(addr.Port))
}

// cause strips the operation and the path that the caller's message has already.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

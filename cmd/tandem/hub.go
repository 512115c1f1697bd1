package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tandem/stream/bus"
)

// passwordVariable holds the password that goes with --user: on the command line everybody could read it.
const passwordVariable = "TANDEM_NATS_PASSWORD"

// hubCheck is how often the hub looks whether its server still does its work.
const hubCheck = 5 * time.Second

type hubOptions struct {
	server      bus.ServerConfig
	maxStore    string
	replicas    int
	client      bus.Config
	user        string
	ntp         string
	verbose     bool
	streamsWait time.Duration
}

func newHub() *cobra.Command {
	var o hubOptions
	cmd := &cobra.Command{
		Use:   "hub --store DIR",
		Short: "Run the site's message hub: a NATS server with Tandem's streams",
		Long: `Run the site's message hub: a NATS server with JetStream and Tandem's streams, until it is interrupted.

Rigs, exo agents and the trainer meet at the hub. It keeps what they send in --store, and keeps it there across restarts.
Only this machine can reach it unless --listen says otherwise; before you open it to a network, give it users or
certificates by --config. A site that runs NATS already needs no hub of this kind: 'tandem hub init' makes the streams
there.`,
		Example: `  # a hub for this machine, with monitoring pages
  tandem hub --store /var/lib/tandem/hub --monitor 127.0.0.1:8222

  # one whose clock is the site's time, too
  tandem hub --store /var/lib/tandem/hub --listen :4222 --ntp :123

  # a hub for the whole network, with users and TLS from a nats-server configuration
  TANDEM_NATS_PASSWORD=... tandem hub --store /var/lib/tandem/hub --listen :4222 --config nats.conf --user hub`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runHub(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.server.StoreDir, "store", "", "directory of the streams; made if missing (required)")
	f.StringVar(&o.server.Listen, "listen", "", "HOST:PORT for clients, port 0 for any free one (default 127.0.0.1:4222, or what --config says)")
	f.StringVar(&o.server.Monitor, "monitor", "", "HOST:PORT of the HTTP monitoring pages (default none)")
	f.StringVar(&o.server.ConfigFile, "config", "", "nats-server configuration file, read first")
	f.StringVar(&o.server.Domain, "domain", "", "JetStream domain, for sites with leaf nodes")
	f.StringVar(&o.maxStore, "max-store", "", "disk that the streams may take, such as 50GiB (default 3/4 of what is free)")
	f.BoolVar(&o.server.SyncAlways, "sync-always", false, "acknowledge a message only once it is on the disk: slower, survives a power failure")
	f.IntVar(&o.replicas, "replicas", 0, "copies of each stream, in a cluster (default 1 for new streams)")
	f.StringVar(&o.user, "user", "", "user as whom the hub makes the streams where --config asks for one; password in "+passwordVariable)
	f.StringVar(&o.client.Credentials, "creds", "", "credentials file for the same")
	f.StringVar(&o.client.NKey, "nkey", "", "nkey seed file for the same")
	f.StringVar(&o.ntp, "ntp", "", "HOST:PORT to answer NTP on, such as :123: this machine's clock is the site's time (default not at all)")
	f.DurationVar(&o.streamsWait, "wait", time.Minute, "how long to wait for the server and the streams")
	f.BoolVar(&o.verbose, "verbose", false, "log the server's notices, too")
	cmd.AddCommand(newHubInit())
	return cmd
}

func runHub(ctx context.Context, stdout, stderr io.Writer, o hubOptions) error {
	if err := o.complete(); err != nil {
		return err
	}
	level := slog.LevelWarn
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	o.server.Logger, o.client.Logger = log, log
	stopNTP, err := answerNTP(ctx, stdout, o.ntp, log)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	err = runServer(ctx, stdout, o)
	if stopErr := stopNTP(); err == nil {
		err = stopErr
	}
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	fmt.Fprintln(stdout, "hub: stopped")
	return nil
}

// runServer runs the server until ctx ends or it fails.
func runServer(ctx context.Context, stdout io.Writer, o hubOptions) error {
	server, err := bus.StartServer(ctx, o.server)
	if err != nil {
		return err
	}
	err = serveHub(ctx, stdout, server, o)
	if closeErr := server.Close(); err == nil {
		err = closeErr
	}
	return err
}

// complete checks the options and fills in what depends on others.
func (o *hubOptions) complete() error {
	if o.server.StoreDir == "" {
		return usagef("--store is missing: give the directory in which the streams shall be kept")
	}
	if o.server.Listen == "" && o.server.ConfigFile == "" {
		o.server.Listen = "127.0.0.1:4222"
	}
	if o.ntp != "" {
		if _, _, err := net.SplitHostPort(o.ntp); err != nil {
			return usagef("--ntp %s: expected HOST:PORT, such as :123", o.ntp)
		}
	}
	if err := checkReplicas(o.replicas); err != nil {
		return err
	}
	if o.streamsWait <= 0 {
		return usagef("--wait %v: expected more than 0", o.streamsWait)
	}
	o.server.ReadyTimeout = o.streamsWait
	if o.maxStore != "" {
		n, err := parseSize(o.maxStore)
		if err != nil {
			return usagef("--max-store %s: %w", o.maxStore, err)
		}
		o.server.MaxStore = n
	}
	o.client.Name = "hub"
	return setUser(&o.client, o.user)
}

// checkReplicas refuses what JetStream doesn't know.
func checkReplicas(n int) error {
	if n < 0 || n > 5 {
		return usagef("--replicas %d: expected 1 to 5", n)
	}
	return nil
}

// setUser gives the connection a user and the password from the environment, unless user is empty.
func setUser(c *bus.Config, user string) error {
	if user == "" {
		return nil
	}
	c.User, c.Password = user, os.Getenv(passwordVariable)
	if c.Password == "" {
		return usagef("--user %s needs the password in the environment variable %s", user, passwordVariable)
	}
	return nil
}

// serveHub makes the streams and stays until ctx ends or the server fails.
func serveHub(ctx context.Context, stdout io.Writer, server *bus.Server, o hubOptions) error {
	if err := ensureHubStreams(ctx, server, o); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted while starting
		}
		return err
	}
	fmt.Fprintf(stdout, "hub: %s\n", server.URL())
	fmt.Fprintf(stdout, "hub: streams %s, %s, %s, %s, %s in %s, at most %s\n", bus.StreamTeacher, bus.StreamPairs, bus.StreamSegments,
		bus.StreamStatus, bus.StreamJobs, o.server.StoreDir, formatSize(server.MaxStore()))
	if url := server.MonitorURL(); url != "" {
		fmt.Fprintf(stdout, "hub: monitoring %s\n", url)
	}
	if o.ntp == "" {
		fmt.Fprintln(stdout, "hub: NTP isn't answered; live cameras learn the site's time with --ntp :123")
	}
	fmt.Fprintf(stdout, "hub: next: put %s under nats: urls: in an agent's configuration and run 'tandem agent'; look with 'nats -s %s stream ls'\n",
		server.URL(), server.URL())
	ticker := time.NewTicker(hubCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := server.Check(); err != nil {
				return err
			}
		}
	}
}

// ensureHubStreams connects to the server as any client would and makes the streams.
func ensureHubStreams(ctx context.Context, server *bus.Server, o hubOptions) error {
	ctx, cancel := context.WithTimeout(ctx, o.streamsWait)
	defer cancel()
	o.client.InProcess = server
	conn, err := bus.Connect(ctx, o.client)
	if err != nil {
		return err
	}
	defer conn.Close()
	return bus.EnsureStreams(ctx, conn.JetStream(), bus.StreamsConfig{Store: server.MaxStore(), Replicas: o.replicas})
}

// sizeUnits are the units of sizes; the longer names come first.
var sizeUnits = []struct {
	name  string
	bytes float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// parseSize reads a number of bytes with a unit.
func parseSize(text string) (int64, error) {
	unit, number := 1.0, text
	for _, u := range sizeUnits {
		if head, ok := strings.CutSuffix(text, u.name); ok {
			unit, number = u.bytes, strings.TrimSpace(head)
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n*unit >= 1 && n*unit < math.MaxInt64) {
		return 0, fmt.Errorf("not a size: expected a number and one of KiB, MiB, GiB, TiB, kB, MB, GB, TB")
	}
	return int64(n * unit), nil
}

// formatSize shows a number of bytes.
func formatSize(n int64) string {
	for i := 3; i >= 0; i-- {
		if u := sizeUnits[i]; float64(n) >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

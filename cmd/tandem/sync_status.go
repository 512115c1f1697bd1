package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

type syncStatusOptions struct {
	client bus.Config
	user   string
	site   string
	watch  bool
	json   bool
	wait   time.Duration
}

func newSyncStatus() *cobra.Command {
	var o syncStatusOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how well the devices of a running site know its time, and what their pairs are worth",
		Long: `Show how well the devices of a running site know its time, and what their pairs are worth: the newest status of each
agent, as the hub keeps it.

OFFSET is what the site's time is ahead of the device's time of day, BOUND how far the device's site time may be off, SKEW by how
much the source's clock runs faster, STEPS how often a clock was seen to be set, AGE when the device was last heard.

States, and the exit status:

  locked                   0  fresh and consistent, at every device
  recorded                 0  recordings, which bring their own time
  assumed                  4  a device's own clock, within what its configuration says: nobody checks it
  converging, holdover     4  the bound holds; it is new or contradicted, or nothing was heard for a while
  unsynchronized           4  the site's time is not known: nothing is paired
  silent                   4  nothing was heard of the device for three times as long as it should be
  stopped                  0  its agent was told to end, or its recordings have ended

It is 4, too, when no device has ever reported, or two run under one name, and 1 when the hub can't be reached.`,
		Example: `  tandem sync status
  tandem sync status --nats nats://hub.example:4222 --watch
  tandem sync status --site plant-1 --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.client.URLs, "nats", []string{"nats://127.0.0.1:4222"}, "the hub's addresses, separated by commas")
	f.StringVar(&o.user, "user", "", "user, unless the URL has it; password in "+passwordVariable)
	f.StringVar(&o.client.Credentials, "creds", "", "credentials file")
	f.StringVar(&o.client.NKey, "nkey", "", "nkey seed file")
	f.StringVar(&o.client.TLSCert, "tls-cert", "", "client certificate")
	f.StringVar(&o.client.TLSKey, "tls-key", "", "key of the client certificate")
	f.StringVar(&o.client.TLSCA, "tls-ca", "", "authorities to trust instead of the system's")
	f.StringVar(&o.client.Domain, "domain", "", "JetStream domain")
	f.StringVar(&o.site, "site", "", "devices of this site only (default all)")
	f.BoolVarP(&o.watch, "watch", "w", false, "show it again every two seconds, until interrupted")
	f.BoolVar(&o.json, "json", false, "print JSON; with --watch one document after another")
	f.DurationVar(&o.wait, "wait", 10*time.Second, "how long to wait for the hub")
	return cmd
}

// watchEvery is the time between two looks with --watch.
const watchEvery = 2 * time.Second

func (o *syncStatusOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	if o.wait <= 0 {
		return usagef("--wait %v: expected more than 0", o.wait)
	}
	if o.site != "" {
		if err := wire.CheckToken("--site", o.site); err != nil {
			return usageError{err}
		}
	}
	if err := setUser(&o.client, o.user); err != nil {
		return err
	}
	o.client.Name, o.client.Timeout = "sync status", o.wait
	o.client.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	conn, err := bus.Connect(ctx, o.client)
	if err != nil {
		return fmt.Errorf("sync status: %w", err)
	}
	defer conn.Close()
	for {
		report, err := o.look(ctx, conn)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // interrupted
		}
		if err != nil {
			return err
		}
		if err := o.show(stdout, report); err != nil {
			return err
		}
		if !o.watch {
			if !report.OK {
				return exitStatus(exitUnsure)
			}
			return nil
		}
		timer := time.NewTimer(watchEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// show prints a report; on a terminal that is watched, in the place of the last one.
func (o *syncStatusOptions) show(stdout io.Writer, report *statusReport) error {
	if o.json {
		return printJSON(stdout, report)
	}
	if o.watch && isTerminal(stdout) {
		fmt.Fprint(stdout, "\x1b[H\x1b[2J")
	}
	return report.print(stdout, o.watch)
}

// look reads the newest status of each device. Ages are by the hub's clock alone.
func (o *syncStatusOptions) look(ctx context.Context, conn *bus.Conn) (*statusReport, error) {
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	hub := conn.NATS().ConnectedUrlRedacted()
	stream, err := conn.JetStream().Stream(ctx, bus.StreamStatus)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("sync status: %s has no stream %s: it is no hub of Tandem's; 'tandem hub init' makes the streams", hub, bus.StreamStatus)
	case err != nil:
		return nil, fmt.Errorf("sync status: the hub at %s doesn't answer: %w", hub, err)
	}
	now := stream.CachedInfo().TimeStamp
	report := &statusReport{Hub: hub, Time: now, Devices: []statusDevice{}, site: o.site}
	cfg := bus.ReadConfig{Stream: bus.StreamStatus, Newest: true, Filters: []bus.Subject{{Site: o.site, Kind: bus.Status}}}
	err = bus.Read(ctx, conn.JetStream(), cfg, func(_ context.Context, m *bus.Message) error {
		at, err := bus.ParseSubject(m.Subject)
		if err != nil {
			return nil //nolint:nilerr // somebody else's message
		}
		age := max(now.Sub(m.Stored), 0)
		s, err := wire.DecodeStatus(m.Data)
		if err != nil {
			report.Devices = append(report.Devices, statusDevice{
				Site: at.Site, Cell: at.Cell, Device: at.Device, State: stateUnreadable, Age: age.Seconds(), Problem: wire.OneLine(err.Error()),
			})
			return nil
		}
		if s.Role == "exo" || s.Role == "ego" {
			report.Devices = append(report.Devices, newStatusDevice(at, s, age))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sync status: the hub at %s doesn't answer: %w", hub, err)
	}
	slices.SortFunc(report.Devices, func(a, b statusDevice) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Cell, b.Cell), cmp.Compare(b.Role, a.Role), cmp.Compare(a.Device, b.Device))
	})
	report.judge()
	return report, nil
}

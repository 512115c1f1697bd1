package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

type hubInitOptions struct {
	client   bus.Config
	user     string
	replicas int
	maxStore string
	wait     time.Duration
}

func newHubInit() *cobra.Command {
	var o hubInitOptions
	cmd := &cobra.Command{
		Use:   "init --url URL",
		Short: "Make Tandem's streams on a NATS server or cluster that runs already",
		Long: `Make Tandem's streams and buckets on a NATS server or cluster that runs already, or bring those that are there to
what the flags say. It may be run again at any time; what other settings say stays as it is.`,
		Example: `  # a plain server
  tandem hub init --url nats://broker:4222

  # a cluster of three, each stream on all of them, 200 GiB for Tandem
  tandem hub init --url nats://n1:4222,nats://n2:4222,nats://n3:4222 --replicas 3 --max-store 200GiB --creds hub.creds`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runHubInit(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.client.URLs, "url", nil, "the servers, separated by commas (required)")
	f.StringVar(&o.user, "user", "", "user, unless the URL has it; password in "+passwordVariable)
	f.StringVar(&o.client.Credentials, "creds", "", "credentials file")
	f.StringVar(&o.client.NKey, "nkey", "", "nkey seed file")
	f.StringVar(&o.client.TLSCert, "tls-cert", "", "client certificate")
	f.StringVar(&o.client.TLSKey, "tls-key", "", "key of the client certificate")
	f.StringVar(&o.client.TLSCA, "tls-ca", "", "authorities to trust instead of the system's")
	f.StringVar(&o.client.Domain, "domain", "", "JetStream domain")
	f.IntVar(&o.replicas, "replicas", 0, "copies of each stream (default 1 for new streams)")
	f.StringVar(&o.maxStore, "max-store", "", "disk to share out between the streams, such as 200GiB (default no limit)")
	f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for JetStream")
	return cmd
}

func runHubInit(ctx context.Context, stdout, stderr io.Writer, o hubInitOptions) error {
	streams := bus.StreamsConfig{Replicas: o.replicas}
	if len(o.client.URLs) == 0 {
		return usagef("--url is missing: give the server, as in nats://HOST:4222")
	}
	if err := checkReplicas(o.replicas); err != nil {
		return err
	}
	if o.wait <= 0 {
		return usagef("--wait %v: expected more than 0", o.wait)
	}
	if o.maxStore != "" {
		n, err := parseSize(o.maxStore)
		if err != nil {
			return usagef("--max-store %s: %w", o.maxStore, err)
		}
		streams.Store = n
	}
	if err := setUser(&o.client, o.user); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.wait)
	defer cancel()
	o.client.Name = "hub init"
	o.client.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	conn, err := bus.Connect(ctx, o.client)
	if err != nil {
		return fmt.Errorf("hub init: %w", err)
	}
	defer conn.Close()
	if err := bus.EnsureStreams(ctx, conn.JetStream(), streams); err != nil {
		return fmt.Errorf("hub init: %w", err)
	}
	if limit := conn.NATS().MaxPayload(); limit < wire.MaxMessage {
		fmt.Fprintf(stderr, "tandem: warning: the server takes messages up to %s only, Tandem's may have %s: set max_payload: 8MB in its configuration\n",
			formatSize(limit), formatSize(wire.MaxMessage))
	}
	fmt.Fprintf(stdout, "hub init: streams %s, %s, %s, %s, %s and stores %s, %s, %s are ready at %s\n", bus.StreamTeacher, bus.StreamPairs,
		bus.StreamSegments, bus.StreamStatus, bus.StreamJobs, bus.BucketBundles, bus.BucketAssignments, bus.BucketTraining, conn.NATS().ConnectedUrlRedacted())
	fmt.Fprintln(stdout, "hub init: next: put the same URLs under nats: urls: in the agents' configurations and run 'tandem agent'")
	return nil
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"tandem/sync/clock"
)

// answerNTP answers NTP on address with this machine's time until stop is called; it does nothing if address is empty.
func answerNTP(ctx context.Context, stdout io.Writer, address string, log *slog.Logger) (stop func() error, err error) {
	if address == "" {
		return func() error { return nil }, nil
	}
	responder, err := clock.Listen(ctx, address, nil, log)
	if err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- responder.Serve(ctx) }()
	fmt.Fprintf(stdout, "hub: NTP on %s\n", responder.Addr())
	return func() error {
		closed := responder.Close()
		if err := <-done; err != nil {
			return err
		}
		return closed
	}, nil
}

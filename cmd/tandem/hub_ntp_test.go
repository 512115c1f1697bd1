package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/sync/clock"
)

func TestHubAnswersNTP(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var errs bytes.Buffer
	status := make(chan int, 1)
	go func() {
		args := []string{"hub", "--store", filepath.Join(t.TempDir(), "hub"), "--listen", "127.0.0.1:0", "--max-store", "1GiB", "--ntp", "127.0.0.1:0"}
		status <- run(ctx, args, in, &errs)
		_ = in.Close()
	}()
	lines := bufio.NewScanner(out)
	address, serving := "", false
	for !serving && lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "hub: NTP on "); ok {
			address = rest
		}
		serving = strings.HasPrefix(lines.Text(), "hub: next:")
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		_, _ = io.Copy(io.Discard, out)
	}()
	defer func() {
		cancel()
		if code := <-status; code != exitOK {
			t.Errorf("exit %d: %s", code, errs.String())
		}
		<-rest
	}()
	if address == "" {
		t.Fatal("the hub doesn't say where it answers NTP")
	}
	device, err := clock.New(clock.Config{NTP: clock.NTPConfig{Servers: []string{address}, Poll: 100 * time.Millisecond}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked, stop := context.WithTimeout(ctx, 20*time.Second)
	done := make(chan error, 1)
	go func() { done <- device.Run(asked) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !device.Now().Known && asked.Err() == nil {
		<-tick.C
	}
	before := time.Now().UnixNano()
	r := device.Now()
	after := time.Now().UnixNano()
	if !r.Known || r.Latest < before || r.Earliest > after {
		t.Errorf("%+v, and it is %d; %s", r, before, device.Status().Problem())
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHubRefusesBadNTPAddresses(t *testing.T) {
	taken, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // only holds the port
	for address, want := range map[string]struct {
		code int
		text string
	}{
		"here":                     {exitUsage, "--ntp here: expected HOST:PORT"},
		taken.LocalAddr().String(): {exitFailed, "is another NTP server running here"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"hub", "--store", t.TempDir(), "--listen", "127.0.0.1:0", "--ntp", address}, &out, &errs)
		if code != want.code || !strings.Contains(errs.String(), want.text) {
			t.Errorf("%s: exit %d, %s", address, code, errs.String())
		}
	}
}

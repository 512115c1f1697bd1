package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/stream/bus"
)

// startHub runs the hub command until stop is called, which returns its exit status, and waits for the URL that it prints.
func startHub(t *testing.T, args ...string) (url string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	out, in := io.Pipe()
	var errs bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, append([]string{"hub"}, args...), in, &errs)
		_ = in.Close()
	}()
	lines := bufio.NewScanner(out)
	for url == "" && lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "hub: nats://"); ok {
			url = "nats://" + rest
		}
	}
	rest := make(chan struct{})
	go func() { // the command must not wait for a reader
		defer close(rest)
		_, _ = io.Copy(io.Discard, out)
	}()
	stop = func() int {
		cancel()
		code := <-status
		<-rest
		if code != exitOK {
			t.Log(errs.String())
		}
		return code
	}
	if url == "" {
		t.Fatalf("no URL, exit %d", stop())
	}
	return url, stop
}

func hubStreams(t *testing.T, cfg bus.Config) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := bus.Connect(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var names []string
	list := conn.JetStream().StreamNames(ctx)
	for name := range list.Name() {
		names = append(names, name)
	}
	if list.Err() != nil {
		t.Fatal(list.Err())
	}
	return names
}

func TestHubServesItsStreamsAndKeepsThem(t *testing.T) {
	store := filepath.Join(t.TempDir(), "hub")
	for range 2 {
		url, stop := startHub(t, "--store", store, "--listen", "127.0.0.1:0", "--monitor", "127.0.0.1:0", "--max-store", "1GiB")
		got := strings.Join(hubStreams(t, bus.Config{URLs: []string{url}}), " ")
		if want := "JOBS KV_ASSIGNMENTS KV_TRAINING OBJ_BUNDLES PAIRS SEGMENTS STATUS TEACHER"; got != want {
			t.Errorf("streams %s, want %s", got, want)
		}
		if code := stop(); code != exitOK {
			t.Errorf("exit %d, want %d", code, exitOK)
		}
	}
}

func TestHubWithUsers(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "nats.conf")
	text := `listen: "127.0.0.1:-1"` + "\n" + `authorization { users: [ {user: hub, password: h}, {user: rig, password: r} ] }`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--store", filepath.Join(dir, "hub"), "--config", conf, "--max-store", "100MB"}
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"hub"}, args...), &out, &errs); code != exitFailed || !strings.Contains(errs.String(), "Authorization Violation") {
		t.Errorf("without a user: exit %d, %s", code, errs.String())
	}
	args = append(args, "--user", "hub")
	errs.Reset()
	if code := run(t.Context(), append([]string{"hub"}, args...), &out, &errs); code != exitUsage || !strings.Contains(errs.String(), passwordVariable) {
		t.Errorf("without a password: exit %d, %s", code, errs.String())
	}
	t.Setenv(passwordVariable, "h")
	url, stop := startHub(t, args...)
	if got := hubStreams(t, bus.Config{URLs: []string{url}, User: "rig", Password: "r"}); len(got) != 8 {
		t.Errorf("streams %q", got)
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit %d, want %d", code, exitOK)
	}
}

func TestHubErrorsAreOneLine(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitUsage, "--store is missing"},
		{"--store " + dir + " extra", exitUsage, "unexpected argument \"extra\""},
		{"--store " + dir + " --max-store lots", exitUsage, "--max-store lots: not a size"},
		{"--store " + dir + " --replicas 9", exitUsage, "--replicas 9"},
		{"--store " + dir + " --listen here", exitFailed, "listen here: not an address"},
		{"--store " + dir + " --listen " + l.Addr().String(), exitFailed, "the port is in use"},
		{"--store " + file + " --listen 127.0.0.1:0", exitFailed, "store directory " + file},
		{"--store " + dir + " --config " + filepath.Join(dir, "none.conf"), exitFailed, "none.conf"},
		{"init", exitUsage, "--url is missing"},
		{"init --url nats://h --replicas -1", exitUsage, "--replicas -1"},
		{"init --url nats://h --max-store 0", exitUsage, "--max-store 0"},
		{"init --url ftp://h", exitFailed, "scheme \"ftp\""},
		{"init --url " + l.Addr().String() + " --wait 50ms", exitFailed, l.Addr().String()},
		{"--store " + dir + " --listen 127.0.0.1:0 --max-store 100MB --replicas 3", exitFailed, "more replicas are asked for"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"hub"}, strings.Fields(c.args)...), &out, &errs)
		first, rest, _ := strings.Cut(errs.String(), "\n")
		if code != c.code || !strings.Contains(first, c.want) || code == exitFailed && rest != "" {
			t.Errorf("%s: exit %d, %q; want exit %d and %q", c.args, code, errs.String(), c.code, c.want)
		}
	}
}

func TestHubInitOnAServerThatRunsAlready(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(conf, []byte("listen: \"127.0.0.1:-1\"\nmax_payload: 1MB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, err := bus.StartServer(t.Context(), bus.ServerConfig{StoreDir: t.TempDir(), ConfigFile: conf, MaxStore: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for range 2 {
		var out, errs bytes.Buffer
		code := run(t.Context(), []string{"hub", "init", "--url", server.URL(), "--max-store", "500MB"}, &out, &errs)
		if code != exitOK || !strings.Contains(out.String(), "are ready at "+server.URL()) || !strings.Contains(errs.String(), "max_payload: 8MB") {
			t.Errorf("exit %d, %s%s", code, out.String(), errs.String())
		}
	}
	if got := hubStreams(t, bus.Config{URLs: []string{server.URL()}}); len(got) != 8 {
		t.Errorf("streams %q", got)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"10": 10, "1KiB": 1024, "1.5 GiB": 3 << 29, "2MB": 2e6, "7B": 7, "1TiB": 1 << 40, "1kB": 1000} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "0", "1e300GiB", "NaN", "+Inf", "5 XB"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, n)
		}
	}
	for n, want := range map[int64]string{12: "12 B", 1 << 30: "1.0 GiB", 1500: "1.5 KiB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

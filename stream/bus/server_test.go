package bus

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// oneLine fails unless err is one line that holds all the parts.
func oneLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q doesn't hold %q", err, p)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	dir := filepath.Join(t.TempDir(), "store")
	for _, cfg := range []ServerConfig{
		{StoreDir: dir, Listen: addr},
		{StoreDir: dir, Listen: "127.0.0.1:0", Monitor: addr},
	} {
		_, err = StartServer(testContext(t), cfg)
		oneLine(t, err, addr, "the port is in use", "choose another port")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("store directory after the failure: %v, want none", err)
	}
}

func TestBadServerConfigurations(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(conf, []byte("port: 0\nno_such_thing: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  ServerConfig
		want []string
	}{
		{ServerConfig{}, []string{"no store directory"}},
		{ServerConfig{StoreDir: dir, Listen: "localhost"}, []string{"listen localhost", "HOST:PORT"}},
		{ServerConfig{StoreDir: dir, Listen: "localhost:99999"}, []string{"99999", "0 to 65535"}},
		{ServerConfig{StoreDir: dir, Monitor: "x"}, []string{"monitor x"}},
		{ServerConfig{StoreDir: dir, MaxStore: -1}, []string{"max store"}},
		{ServerConfig{StoreDir: dir, Domain: "Rig 1"}, []string{"domain", "not a token"}},
		{ServerConfig{StoreDir: dir, Leaf: []LeafRemote{{URLs: []string{"hub"}}}}, []string{"leaf URL", "hub"}},
		{ServerConfig{StoreDir: filepath.Join(file, "store")}, []string{"store directory", file, "not a directory"}},
		{ServerConfig{StoreDir: dir, ConfigFile: conf}, []string{conf, "no_such_thing"}},
		{ServerConfig{StoreDir: dir, ConfigFile: filepath.Join(dir, "none.conf")}, []string{"none.conf", "no such file"}},
	} {
		s, err := StartServer(testContext(t), c.cfg)
		if err == nil {
			_ = s.Close()
		}
		oneLine(t, err, c.want...)
	}
}

func TestUnwritableStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "tandem.lock"), 0o755); err != nil { // stops root, too
		t.Fatal(err)
	}
	_, err := StartServer(testContext(t), ServerConfig{StoreDir: dir})
	oneLine(t, err, dir, "can't be written", "is a directory", "choose another one")
	if os.Getuid() == 0 {
		return // root may write where the mode says no
	}
	dir = filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	_, err = StartServer(testContext(t), ServerConfig{StoreDir: dir})
	oneLine(t, err, dir, "can't be written", "permission denied")
}

func TestStoreBelongsToOneServer(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, ServerConfig{StoreDir: dir})
	_, err := StartServer(testContext(t), ServerConfig{StoreDir: dir})
	oneLine(t, err, dir, "in use by another server")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	startServer(t, ServerConfig{StoreDir: dir})
}

func TestCancelledStartLeavesNothingRunning(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := StartServer(ctx, ServerConfig{StoreDir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestServerWithConfigFile(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "nats.conf")
	text := "host: 127.0.0.1\nport: -1\nhttp: \"127.0.0.1:-1\"\njetstream { store_dir: \"" + dir + "/js\", max_file_store: 500MB }\n" +
		"authorization { token: secret }\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := StartServer(testContext(t), ServerConfig{ConfigFile: conf, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.MaxStore() != 500_000_000 && s.MaxStore() != 500<<20 {
		t.Errorf("max store %d", s.MaxStore())
	}
	if !strings.HasPrefix(s.MonitorURL(), "http://127.0.0.1:") {
		t.Errorf("monitor %q", s.MonitorURL())
	}
	_, err = Connect(testContext(t), Config{URLs: []string{s.URL()}, Logger: quiet})
	oneLine(t, err, "Authorization Violation", "check the user")
	_, err = Connect(testContext(t), Config{InProcess: s, Logger: quiet})
	oneLine(t, err, "in this process", "Authorization Violation", "check the user")
	c := connect(t, Config{URLs: []string{strings.Replace(s.URL(), "://", "://secret@", 1)}})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{Store: s.MaxStore()}); err != nil {
		t.Fatal(err)
	}
}

func TestUnreachableServer(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close() // nobody listens there now
	_, err = Connect(testContext(t), Config{URLs: []string{"nats://user:secret@" + addr}, Logger: quiet})
	oneLine(t, err, addr, "connection refused", "tandem hub")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is shown: %v", err)
	}
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{}, "no URL"},
		{Config{URLs: []string{"http://host:4222"}}, "scheme \"http\""},
		{Config{URLs: []string{"nats://"}}, "expected nats://HOST:PORT"},
		{Config{URLs: []string{"nats://" + addr}, Credentials: "a", NKey: "b"}, "choose one"},
		{Config{URLs: []string{"nats://" + addr}, TLSCert: "a"}, "go together"},
		{Config{URLs: []string{"nats://" + addr}, NKey: "none.nk"}, "none.nk"},
	} {
		_, err := Connect(testContext(t), c.cfg)
		oneLine(t, err, c.want)
	}
}

// A server that accepts and says nothing must not hold Connect for longer than its timeout or context.
func TestSilentServer(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Connect(testContext(t), Config{URLs: []string{"nats://" + l.Addr().String()}, Timeout: 50 * time.Millisecond, Logger: quiet})
	oneLine(t, err, l.Addr().String(), "timeout")
}

func TestEnsureStreamsIsIdempotentAndKeepsWhatOthersSet(t *testing.T) {
	s := startServer(t, ServerConfig{MaxStore: 1 << 30})
	c := connect(t, Config{InProcess: s})
	ctx, js := testContext(t), c.JetStream()
	for range 2 {
		if err := EnsureStreams(ctx, js, StreamsConfig{Store: s.MaxStore()}); err != nil {
			t.Fatal(err)
		}
	}
	config := func(name string) jetstream.StreamConfig {
		t.Helper()
		st, err := js.Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return st.CachedInfo().Config
	}
	if got := config(StreamTeacher); got.MaxAge != 24*time.Hour || got.MaxBytes < 1<<28 || got.Retention != jetstream.LimitsPolicy {
		t.Errorf("TEACHER: %+v", got)
	}
	if got := config(StreamPairs); got.Duplicates != 2*time.Hour || got.Subjects[0] != "tandem.v1.*.*.*.pairs" {
		t.Errorf("PAIRS: %+v", got)
	}
	// An operator's change survives a configuration that doesn't speak of it; one that does wins.
	changed := config(StreamSegments)
	changed.MaxAge = time.Hour
	changed.Duplicates = time.Minute
	if _, err := js.UpdateStream(ctx, changed); err != nil {
		t.Fatal(err)
	}
	if err := EnsureStreams(ctx, js, StreamsConfig{Segments: Limits{MaxBytes: 1 << 20}}); err != nil {
		t.Fatal(err)
	}
	if got := config(StreamSegments); got.MaxAge != time.Hour || got.MaxBytes != 1<<20 {
		t.Errorf("SEGMENTS: %+v", got)
	}
	if err := EnsureStreams(ctx, js, StreamsConfig{Segments: Limits{MaxAge: Unlimited}}); err != nil {
		t.Fatal(err)
	}
	if got := config(StreamSegments); got.MaxAge != 0 {
		t.Errorf("SEGMENTS: %+v", got)
	}
}

func TestEnsureStreamsErrorsSayWhatToDo(t *testing.T) {
	s := startServer(t, ServerConfig{MaxStore: 1 << 20})
	c := connect(t, Config{InProcess: s})
	ctx, js := testContext(t), c.JetStream()
	oneLine(t, EnsureStreams(ctx, js, StreamsConfig{Store: 1 << 30}), "stream TEACHER", "max_file_store")
	oneLine(t, EnsureStreams(ctx, js, StreamsConfig{Replicas: 3}), "stream TEACHER", "replicas")
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: StreamTeacher, Subjects: []string{"tandem.v1.*.*.*.teacher"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		t.Fatal(err)
	}
	oneLine(t, EnsureStreams(ctx, js, StreamsConfig{}), "stream TEACHER", "retention", "nats stream rm TEACHER")
	if err := js.DeleteStream(ctx, StreamTeacher); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"tandem.>"}}); err != nil {
		t.Fatal(err)
	}
	oneLine(t, EnsureStreams(ctx, js, StreamsConfig{}), "stream TEACHER", "another stream takes the subjects")
}

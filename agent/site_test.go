package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocv.io/x/gocv"

	"tandem/runtime/bundle"
	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

func TestMain(m *testing.M) {
	// nats.go's ObjectStore.Put (the tests' releases) starts this goroutine and may take away the channel that it is about
	// to read. A connection that an agent left open would show by other goroutines.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// limit bounds every wait of a test.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// site is a hub in this process, with its streams, and a connection to it.
type site struct {
	t      *testing.T
	store  string
	server *bus.Server
	conn   *bus.Conn
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, store: t.TempDir()}
	s.start("127.0.0.1:0")
	var err error
	if s.conn, err = bus.Connect(limit(t), bus.Config{URLs: []string{s.server.URL()}, Name: "test", Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.conn.Close)
	if err := bus.EnsureStreams(limit(t), s.conn.JetStream(), bus.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) start(listen string) {
	s.t.Helper()
	server, err := bus.StartServer(limit(s.t), bus.ServerConfig{StoreDir: s.store, Listen: listen, Logger: quiet})
	if err != nil {
		s.t.Fatal(err)
	}
	s.server = server
	s.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// stop ends the server, and begin starts it again on its port and store.
func (s *site) stop() (begin func()) {
	s.t.Helper()
	addr := strings.TrimPrefix(s.server.URL(), "nats://")
	if err := s.server.Close(); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		s.start(addr)
	}
}

func (s *site) releases() *bus.Releases {
	s.t.Helper()
	r, err := bus.OpenReleases(limit(s.t), s.conn.JetStream())
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// release puts a bundle into the store and returns its assignment.
func (s *site) release(d *bundle.Dir) *wire.Assignment {
	s.t.Helper()
	packed, _ := modeltest.Pack(s.t, d)
	return s.put(d.Release, packed)
}

func (s *site) put(name string, packed []byte) *wire.Assignment {
	s.t.Helper()
	info, err := s.releases().PutBundle(limit(s.t), &wire.ReleaseInfo{Release: name, CreatedNs: time.Now().UnixNano()}, strings.NewReader(string(packed)))
	if err != nil {
		s.t.Fatal(err)
	}
	return &wire.Assignment{Release: name, Sha256: info.Sha256, IssuedNs: time.Now().UnixNano()}
}

func (s *site) assign(device string, a *wire.Assignment) {
	s.t.Helper()
	if err := s.releases().Assign(limit(s.t), device, a); err != nil {
		s.t.Fatal(err)
	}
}

// stored returns what a stream holds of a device, in order, decoded.
func stored[T any](s *site, kind bus.Kind, device string, decode func([]byte) (T, error)) []T {
	s.t.Helper()
	var list []T
	ids := map[string]bool{}
	err := bus.Read(limit(s.t), s.conn.JetStream(), bus.ReadConfig{
		Stream: kind.Stream(), Filters: []bus.Subject{{Site: "plant", Cell: "cell-1", Device: device, Kind: kind}},
	}, func(_ context.Context, m *bus.Message) error {
		if m.ID != "" && ids[m.ID] {
			s.t.Errorf("%s holds %s twice", kind.Stream(), m.ID)
		}
		ids[m.ID] = true
		v, err := decode(m.Data)
		list = append(list, v)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// config is an agent's configuration on the site.
func (s *site) config(device string, exo ...string) Config {
	c := Config{
		Site: "plant", Cell: "cell-1", Device: device, Role: RoleExo, Store: filepath.Join(s.t.TempDir(), device),
		NATS:   bus.Client{URLs: []string{s.server.URL()}},
		Camera: CameraConfig{Source: "recordings"},
	}
	if len(exo) > 0 {
		c.Role, c.Pair.Exo = RoleEgo, exo
	}
	return c
}

// device is an agent that runs.
type device struct {
	t       *testing.T
	agent   *Agent
	sources chan Source
	adopted chan string
	stop    context.CancelFunc
	ended   chan struct{}
	err     error

	mu    sync.Mutex
	takes map[string]error
	done  chan string
}

// run starts an agent, after changes to it. The test waits for its end.
func (s *site) run(c Config, change ...func(*Agent)) *device {
	s.t.Helper()
	d := &device{
		t: s.t, sources: make(chan Source), adopted: make(chan string, 100), ended: make(chan struct{}), takes: map[string]error{},
		done: make(chan string, 100),
	}
	var err error
	d.agent, err = New(c, Options{Log: quiet, Adopted: func(r string) { d.adopted <- r }, TakeDone: func(src Source, err error) {
		d.mu.Lock()
		d.takes[src.Take] = err
		d.mu.Unlock()
		d.done <- src.Take
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range change {
		f(d.agent)
	}
	ctx, cancel := context.WithCancel(limit(s.t))
	d.stop = cancel
	go func() {
		defer close(d.ended)
		d.err = d.agent.Run(ctx, d.sources)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-d.ended
	})
	return d
}

// play gives the agent a take.
func (d *device) play(src Source) {
	d.t.Helper()
	select {
	case d.sources <- src:
	case <-d.ended:
		d.t.Fatalf("the agent has ended: %v", d.err)
	case <-limit(d.t).Done():
		d.t.Fatalf("take %s is not begun", src.Take)
	}
}

// wait returns once a release is adopted or a take is done.
func (d *device) wait(c chan string, want string) {
	d.t.Helper()
	for {
		select {
		case got := <-c:
			if got == want {
				return
			}
		case <-d.ended:
			d.t.Fatalf("waiting for %s: the agent has ended: %v", want, d.err)
		case <-limit(d.t).Done():
			d.t.Fatalf("waiting for %s took too long; counters %v", want, d.agent.Counters())
		}
	}
}

// finish ends the sources and waits for the agent.
func (d *device) finish() error {
	d.t.Helper()
	close(d.sources)
	<-d.ended
	return d.err
}

// eventually waits for a condition of the agent.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := limit(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s took too long", what)
		}
	}
}

// clip is a small video to render.
type clip struct {
	width, height int
	frames        int
	seed          int
	stamps        func(frame int) int64 // nil for none
	still         bool                  // all pictures are the same
	bright        func(frame int) bool  // which pictures are white; nil for none
}

const (
	clipFPS    = 10
	clipPeriod = int64(time.Second) / clipFPS
	clipStart  = int64(1_770_000_000_000_000_000)
)

// even stamps a clip at its rate from clipStart on, delayed by ns.
func even(ns int64) func(int) int64 {
	return func(i int) int64 { return clipStart + int64(i)*clipPeriod + ns }
}

// write renders a clip: bright blocks that jump about, so that features and labels change.
func (c clip) write(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	codec := "mp4v"
	if filepath.Ext(name) == ".avi" {
		codec = "MJPG"
	}
	w, err := gocv.VideoWriterFileWithAPI(path, gocv.VideoCaptureFFmpeg, codec, clipFPS, c.width, c.height, true)
	if err != nil || !w.IsOpened() {
		t.Fatalf("write %s: %v", path, err)
	}
	px := make([]byte, 3*c.width*c.height)
	var stamps strings.Builder
	stamps.WriteString("frame,raw_ns\n")
	for i := range c.frames {
		picture := uint64(i / 4)
		if c.still {
			picture = 0
		}
		rng := rand.New(rand.NewPCG(picture, uint64(c.seed)))
		var level [48]byte
		for k := range level {
			level[k] = byte(rng.IntN(256))
			if c.bright != nil && c.bright(i) {
				level[k] = 250
			}
		}
		for k := range px {
			x, y := k/3%c.width, k/3/c.width
			px[k] = level[(x*4/c.width+y*4/c.height*4)*3+k%3]
		}
		m, err := gocv.NewMatFromBytes(c.height, c.width, gocv.MatTypeCV8UC3, px)
		if err == nil {
			err = w.Write(m)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if c.stamps != nil {
			fmt.Fprintf(&stamps, "%d,%d\n", i, c.stamps(i))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if c.stamps != nil {
		if err := os.WriteFile(capture.SidecarPath(path), []byte(stamps.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// fast is a take of a recording, read as fast as it can be.
func fast(take, path string) Source {
	return Source{Take: take, Capture: capture.Config{Source: path}}
}

package bus

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"tandem/stream/wire"
)

// freePort is a port that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

// A cluster of three: streams are made while it is still electing its leaders, and nothing is lost when one server goes.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("elections take seconds")
	}
	dir := t.TempDir()
	routes := ""
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = freePort(t)
		routes += fmt.Sprintf("\"nats://127.0.0.1:%d\", ", ports[i])
	}
	var servers []*Server
	var urls []string
	for i, port := range ports {
		name := fmt.Sprintf("n%d", i)
		conf := filepath.Join(dir, name+".conf")
		text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nserver_name: %s\ncluster { name: site, listen: \"127.0.0.1:%d\", routes: [%s] }\n", name, port, routes)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		servers = append(servers, startServer(t, ServerConfig{StoreDir: filepath.Join(dir, name), ConfigFile: conf, MaxStore: 1 << 30}))
		urls = append(urls, servers[i].URL())
	}
	c := connect(t, Config{URLs: urls})
	if err := EnsureStreams(testContext(t), c.JetStream(), StreamsConfig{Replicas: 3, Store: 1 << 30}); err != nil {
		t.Fatal(err)
	}
	stream, err := c.JetStream().Stream(testContext(t), StreamPairs)
	if err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, c, PublisherConfig{MaxInFlight: 32})
	publish(t, p, 0, 500)
	for _, s := range servers { // the one that leads the stream goes in the middle
		if leader := stream.CachedInfo().Cluster.Leader; s.ns.Name() == leader {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(t, p, 500, 1000)
	flush(t, p)
	seen := make(map[string]bool)
	err = Read(testContext(t), c.JetStream(), ReadConfig{Stream: StreamPairs}, func(_ context.Context, m *Message) error {
		if seen[m.ID] {
			return fmt.Errorf("%s twice", m.ID)
		}
		seen[m.ID] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if id := wire.MessageID("rig-1", "take-1", uint64(i)); !seen[id] {
			t.Errorf("%s is lost", id)
		}
	}
	t.Logf("%+v", p.Stats())
}
